#include "train/import.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <numeric>

namespace nautile::train {
namespace {

// The scale of an E4M3 weight's 128×128 block.
float block_scale(const Weight& w, std::int64_t row, std::int64_t col) {
  const std::size_t at = static_cast<std::size_t>(row / 128 * ((w.cols() + 127) / 128) + col / 128);
  if (w.scale_format == ScaleFormat::e8m0)
    return std::ldexp(1.0f, static_cast<int>(w.scales[at]) - 127);
  float scale;
  std::memcpy(&scale, w.scales + 4 * at, sizeof scale);
  return scale;
}

}  // namespace

void read_weight(Backend& backend, const Weight& weight, std::span<float> out) {
  NAUTILE_ASSERT(static_cast<std::int64_t>(out.size()) == weight.shape.elements(), "{} of {}",
                 out.size(), weight.shape);
  std::vector<std::int32_t> rows(static_cast<std::size_t>(weight.rows()));
  std::iota(rows.begin(), rows.end(), 0);
  backend.embed(weight, rows, Tensor{out.data(), {weight.rows(), weight.cols()}});
  if (weight.scale_format == ScaleFormat::none) return;
  for (std::int64_t r = 0; r < weight.rows(); ++r) {
    for (std::int64_t c = 0; c < weight.cols(); ++c)
      out[static_cast<std::size_t>(r * weight.cols() + c)] *= block_scale(weight, r, c);
  }
}

void import_masters(Checkpoint& checkpoint, ParamSet& params, Backend& backend) {
  ModelWeights weights = checkpoint.weights();
  std::map<std::string, Slot*> found;
  weights.visit(checkpoint.config(),
                [&](const SlotInfo& info, Slot& slot) { found[info.name] = &slot; });
  const auto slot_of = [&](const std::string& name) -> Slot& {
    const auto at = found.find(name);
    NAUTILE_CHECK(at != found.end() && at->second->present(),
                  "the checkpoint has no weight {} in a form that can be trained", name);
    return *at->second;
  };
  for (const Param& p : params.params()) {
    const Slot& slot = slot_of(p.info.name);
    const std::span<float> master = params.master(p);
    if (p.is_matrix()) {
      read_weight(backend, slot.weight, master);
    } else {
      std::copy(slot.values.begin(), slot.values.end(), master.begin());
    }
  }
  for (const RouterBias& bias : params.router_biases()) {
    const std::vector<float>& values = slot_of(bias.slot->weight.name).values;
    std::copy(values.begin(), values.end(), bias.slot->values.begin());
  }
  params.refresh(backend);
}

}  // namespace nautile::train
