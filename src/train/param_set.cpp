#include "train/param_set.h"

#include <algorithm>
#include <array>
#include <charconv>
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

ParamSet::ParamSet(const ModelConfig& config, ModelWeights& weights, Precision precision)
    : precision_(precision) {
  weights.visit(config, [this](const SlotInfo& info, Slot& slot) { add(info, slot); });
  masters_.resize(params_.empty() ? 0 : params_.back().offset + params_.back().count);
  copies_.resize(params_.size());
  for (std::size_t i = 0; i < params_.size(); ++i) {
    const Param& p = params_[i];
    Weight& w = p.slot->weight;
    w.name = p.info.name;
    w.shape = p.info.shape;
    w.param = static_cast<ParamId>(i + 1);
    w.format = trained_format(precision, p.info);
    if (!p.is_matrix()) {
      p.slot->values.assign(p.count, 0.0f);
      w.data = reinterpret_cast<const std::byte*>(p.slot->values.data());
    } else if (w.format == Format::f32) {
      w.data = reinterpret_cast<const std::byte*>(masters_.data() + p.offset);
    } else {
      copies_[i].data.resize(w.bytes());
      w.data = copies_[i].data.data();
      if (w.format == Format::f8_e4m3) {
        w.scale_format = ScaleFormat::f32;
        copies_[i].scales.resize(w.scale_bytes() / sizeof(float));
        w.scales = reinterpret_cast<const std::byte*>(copies_[i].scales.data());
      }
    }
  }
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
  const std::size_t offset = params_.empty() ? 0 : params_.back().offset + params_.back().count;
  params_.push_back({info, &slot, offset, static_cast<std::size_t>(info.shape.elements())});
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

void ParamSet::refresh(Backend& backend) {
  for (std::size_t i = 0; i < params_.size(); ++i) {
    const Param& p = params_[i];
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

void ParamSet::refresh_matrix(Backend& backend, std::size_t index) {
  const Param& p = params_[index];
  Weight& w = p.slot->weight;
  Copy& copy = copies_[index];
  if (w.format == Format::f32) return;
  const float* from = masters_.data() + p.offset;
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
