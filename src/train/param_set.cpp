#include "train/param_set.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>

#include "base/bf16.h"
#include "base/rng.h"

namespace nautile::train {
namespace {

// The layer in "layers.7.ffn.router_bias".
int layer_of(std::string_view name) {
  int layer = 0;
  const std::size_t dot = name.find('.');
  std::from_chars(name.data() + dot + 1, name.data() + name.size(), layer);
  return layer;
}

}  // namespace

bool is_trained(const SlotInfo& info) {
  return info.role != Role::router_bias && !info.name.ends_with(".key_up") &&
         !info.name.ends_with(".value_up");
}

Format trained_format(Precision precision, const SlotInfo& info) {
  if (precision == Precision::f32 || info.shape.rank() < 2) return Format::f32;
  const bool blocks = info.role == Role::matrix && !info.name.ends_with(".mtp.join");
  return precision == Precision::fp8 && blocks ? Format::f8_e4m3 : Format::bf16;
}

ParamSet::ParamSet(const ModelConfig& config, ModelWeights& weights, Precision precision,
                   const ParallelLayout& layout)
    : precision_(precision), layout_(layout), experts_(config.moe.route.experts) {
  weights.visit(config, [this](const SlotInfo& info, Slot& slot) { add(info, slot); });
  allocate();
}

ParamSet::ParamSet(Adapter& adapter) : precision_(Precision::f32) {
  adapter.visit([this](const SlotInfo& info, Slot& slot) { add(info, slot); });
  allocate();
}

void ParamSet::allocate() {
  place();
  copies_.resize(params_.size());
  for (std::size_t i = 0; i < params_.size(); ++i) attach(i);
}

void ParamSet::add(const SlotInfo& info, Slot& slot) {
  if (info.role == Role::router_bias) {
    slot.values.assign(static_cast<std::size_t>(info.shape.elements()), 0.0f);
    slot.weight.name = info.name;
    slot.weight.shape = info.shape;
    slot.weight.data = reinterpret_cast<const std::byte*>(slot.values.data());
    router_biases_.push_back({layer_of(info.name), &slot});
    return;
  }
  if (!is_trained(info)) return;
  Param& p = params_.emplace_back();
  p.info = info;
  p.slot = &slot;
  p.count = static_cast<std::size_t>(info.shape.elements());
}

// Says who owns what, and where the numbers lie.
void ParamSet::place() {
  std::vector<SlotInfo> infos;
  for (const Param& p : params_) infos.push_back(p.info);
  const std::vector<int> owners = layout_.owners(infos, experts_);
  std::size_t owned = 0;
  for (std::size_t i = 0; i < params_.size(); ++i) {
    Param& p = params_[i];
    p.owner = owners[i];
    p.owned = p.owner == layout_.rank();
    p.held = layout_.has(layout_.rank(), p.info, experts_);
    if (!p.owned) continue;
    p.offset = owned;
    owned += p.count;
  }
  masters_.resize(owned);
  // One rank alone has its gradients summed where its slots' lie: one order for both. Of several,
  // what only some have comes last.
  for (const bool expert : {false, true}) {
    for (Param& p : params_) {
      if (!p.held || (layout_.expert_ranks() > 1 && p.info.expert >= 0) != expert) continue;
      p.gradient = held_;
      held_ += p.count;
    }
    if (!expert) held_by_all_ = held_;
  }
}

// Points the slot of a parameter to what the model multiplies.
void ParamSet::attach(std::size_t index) {
  const Param& p = params_[index];
  Weight& w = p.slot->weight;
  w.name = p.info.name;
  w.shape = p.info.shape;
  w.param = static_cast<ParamId>(index + 1);
  w.format = trained_format(precision_, p.info);
  if (!p.held) return;
  if (!p.is_matrix()) {
    p.slot->values.assign(p.count, 0.0f);
    w.data = reinterpret_cast<const std::byte*>(p.slot->values.data());
  } else if (w.format == Format::f32 && p.owned) {
    w.data = reinterpret_cast<const std::byte*>(master(p).data());
  } else {
    copies_[index].data.resize(w.bytes());
    w.data = copies_[index].data.data();
    if (w.format == Format::f8_e4m3) {
      w.scale_format = ScaleFormat::f32;
      copies_[index].scales.resize(w.scale_bytes() / sizeof(float));
      w.scales = reinterpret_cast<const std::byte*>(copies_[index].scales.data());
    }
  }
}

const Param* ParamSet::find(std::string_view canonical) const {
  const auto found = std::find_if(params_.begin(), params_.end(),
                                  [&](const Param& p) { return p.info.name == canonical; });
  return found == params_.end() ? nullptr : &*found;
}

std::uint64_t ParamSet::bytes() const {
  std::uint64_t sum = masters_.size() * sizeof(float);
  for (const Copy& copy : copies_) sum += copy.data.size() + copy.scales.size() * sizeof(float);
  return sum;
}

void ParamSet::initialize(std::uint64_t seed, double spread) {
  for (const Param& p : params_) {
    const std::span<float> values = master(p);
    if (values.empty()) continue;
    if (p.info.role == Role::norm || p.info.role == Role::bias) {
      std::fill(values.begin(), values.end(), p.info.role == Role::norm ? 1.0f : 0.0f);
      continue;
    }
    const std::uint64_t stream = fnv1a(p.info.name);
    std::array<double, 2> pair{};
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (i % 2 == 0) pair = normal_pair(seed, i / 2, stream);
      values[i] = static_cast<float>(spread * pair[i % 2]);
    }
  }
}

void ParamSet::initialize_adapter(std::uint64_t seed) {
  for (const Param& p : params_) {
    const std::span<float> values = master(p);
    std::fill(values.begin(), values.end(), 0.0f);
    if (!p.info.name.ends_with(".lora_a")) continue;
    const std::uint64_t stream = fnv1a(p.info.name);
    const double bound = 1 / std::sqrt(static_cast<double>(p.info.shape[1]));
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto block = philox(seed, i, stream);
      values[i] = static_cast<float>((2 * unit_interval(block[0], block[1]) - 1) * bound);
    }
  }
}

void ParamSet::refresh(Backend& backend) {
  for (std::size_t i = 0; i < params_.size(); ++i) {
    const Param& p = params_[i];
    if (!p.owned) continue;
    if (p.is_matrix()) {
      refresh_matrix(backend, i);
      continue;
    }
    const std::span<const float> values = master(p);
    std::copy(values.begin(), values.end(), p.slot->values.begin());
    if (precision_ == Precision::f32) continue;
    for (float& value : p.slot->values) value = to_float(to_bf16(value));  // as exported
  }
}

// What others need of a parameter to multiply by it.
std::vector<std::span<std::byte>> ParamSet::published(std::size_t index) {
  const Param& p = params_[index];
  if (!p.is_matrix()) return {std::as_writable_bytes(std::span(p.slot->values))};
  Copy& copy = copies_[index];
  if (copy.data.empty()) return {std::as_writable_bytes(master(p))};
  return {copy.data, std::as_writable_bytes(std::span(copy.scales))};
}

void ParamSet::publish(Comm& comm) {
  if (comm.size() == 1) return;
  std::vector<Comm::Send> sends;
  std::vector<Comm::Receive> receives;
  for (std::size_t i = 0; i < params_.size(); ++i) {
    const Param& p = params_[i];
    if (!p.held) continue;
    for (const std::span<std::byte> bytes : published(i)) {
      if (!p.owned) {
        receives.push_back({p.owner, bytes});
        continue;
      }
      for (int r = 0; r < comm.size(); ++r) {
        if (r != comm.rank() && layout_.has(r, p.info, experts_)) sends.push_back({r, bytes});
      }
    }
  }
  comm.exchange(sends, receives);
}

void ParamSet::refresh_matrix(Backend& backend, std::size_t index) {
  const Param& p = params_[index];
  Weight& w = p.slot->weight;
  Copy& copy = copies_[index];
  if (w.format == Format::f32) return;
  const float* from = master(p).data();
  if (w.format == Format::f8_e4m3) {
    backend.gradients().quantize_f8(from, w.rows(), w.cols(), copy.data.data(), copy.scales.data());
    return;
  }
  std::vector<std::byte*> rows(static_cast<std::size_t>(w.rows()));
  for (std::size_t r = 0; r < rows.size(); ++r) rows[r] = copy.data.data() + r * w.row_stride();
  backend.store_rows(from, static_cast<std::size_t>(w.cols()), w.rows(), w.cols(), Format::bf16,
                     rows.data());
}

}  // namespace nautile::train
