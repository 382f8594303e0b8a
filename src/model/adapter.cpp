#include "model/adapter.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/error.h"

namespace nautile {
namespace {

// The layer in "layers.7.attention.query"; -1 where there is none.
int layer_of(std::string_view name) {
  constexpr std::string_view kLayers = "layers.";
  int layer = -1;
  if (name.starts_with(kLayers))
    std::from_chars(name.data() + kLayers.size(), name.data() + name.size(), layer);
  return layer;
}

}  // namespace

float LoraConfig::scale() const {
  const double r = rank;
  return static_cast<float>(alpha / (scaling == Scaling::by_root ? std::sqrt(r) : r));
}

std::optional<AdapterTarget> adapter_target(const SlotInfo& info, int layers) {
  const std::string_view name = info.name;
  const int layer = layer_of(name);
  if (info.role != Role::matrix || info.shape.rank() != 2 || layer < 0 || layer >= layers)
    return std::nullopt;
  if (name.find(".attention.") != name.npos)
    return name.ends_with(".kv_up") ? std::nullopt : std::optional(AdapterTarget::attention);
  return name.find(".experts.") != name.npos ? AdapterTarget::experts : AdapterTarget::ffn;
}

Adapter::Adapter(const ModelConfig& model, const LoraConfig& config) : config_(config) {
  ModelWeights weights(model);
  weights.visit(model, [&](const SlotInfo& info, Slot&) {
    const auto target = adapter_target(info, model.layers);
    const auto& wanted = config.targets;
    if (target && std::find(wanted.begin(), wanted.end(), *target) != wanted.end())
      make(info.name, info.shape);
  });
}

Adapter::Entry& Adapter::make(const std::string& name, const Shape& shape) {
  Entry& entry = *entries_.emplace_back(std::make_unique<Entry>());
  entry.name = name;
  entry.out = shape[0];
  entry.in = shape[1];
  entry.low = {&entry.a.weight, &entry.b.weight, config_.scale()};
  return entry;
}

Adapter::Entry& Adapter::add(const std::string& name, const Shape& shape) {
  Entry& entry = make(name, shape);
  const auto own = [](Slot& slot, std::string its, Shape extents) {
    slot.values.assign(static_cast<std::size_t>(extents.elements()), 0.0f);
    slot.weight.name = std::move(its);
    slot.weight.shape = extents;
    slot.weight.data = reinterpret_cast<const std::byte*>(slot.values.data());
  };
  own(entry.a, name + ".lora_a", {config_.rank, entry.in});
  own(entry.b, name + ".lora_b", {entry.out, config_.rank});
  return entry;
}

std::size_t Adapter::parameters() const {
  std::size_t sum = 0;
  for (const auto& entry : entries_)
    sum += static_cast<std::size_t>(config_.rank * (entry->in + entry->out));
  return sum;
}

void Adapter::visit(const Visitor& f) {
  for (const auto& entry : entries_) {
    f({entry->name + ".lora_a", {config_.rank, entry->in}, Role::matrix}, entry->a);
    f({entry->name + ".lora_b", {entry->out, config_.rank}, Role::matrix}, entry->b);
  }
}

void Adapter::attach(const ModelConfig& model, ModelWeights& weights) const {
  std::map<std::string_view, const Entry*> left;
  for (const auto& entry : entries_) left[entry->name] = entry.get();
  std::string problems;
  weights.visit(model, [&](const SlotInfo& info, Slot& slot) {
    const auto found = left.find(info.name);
    if (found == left.end()) return;
    const Shape expected{found->second->out, found->second->in};
    if (info.shape != expected) {
      problems +=
          fmt::format("\n  {} is {}, the adapter is for {}", info.name, info.shape, expected);
    } else {
      slot.weight.adapter = &found->second->low;
    }
    left.erase(found);
  });
  for (const auto& [name, entry] : left) problems += fmt::format("\n  there is no {}", name);
  if (!problems.empty())
    fail(ErrorKind::bad_input, "the adapter does not fit the model:{}", problems);
}

void add_low_rank(const Adapter::Entry& entry, std::span<float> values) {
  NAUTILE_ASSERT(static_cast<std::int64_t>(values.size()) == entry.in * entry.out, "{} of {}",
                 values.size(), entry.in * entry.out);
  const auto* a = reinterpret_cast<const float*>(entry.a.weight.data);
  const auto* b = reinterpret_cast<const float*>(entry.b.weight.data);
  const std::int64_t rank = entry.a.weight.rows();
  std::vector<float> row(static_cast<std::size_t>(entry.in));
  for (std::int64_t o = 0; o < entry.out; ++o) {
    std::fill(row.begin(), row.end(), 0.0f);
    for (std::int64_t r = 0; r < rank; ++r) {
      const float factor = b[o * rank + r];
      for (std::int64_t i = 0; i < entry.in; ++i)
        row[static_cast<std::size_t>(i)] += factor * a[r * entry.in + i];
    }
    for (std::int64_t i = 0; i < entry.in; ++i)
      values[static_cast<std::size_t>(o * entry.in + i)] +=
          entry.low.scale * row[static_cast<std::size_t>(i)];
  }
}

}  // namespace nautile
