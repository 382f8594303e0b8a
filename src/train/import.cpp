#include "train/import.h"

#include <algorithm>
#include <map>
#include <numeric>

namespace nautile::train {

void read_weight(Backend& backend, const Weight& weight, std::span<float> out) {
  NAUTILE_ASSERT(static_cast<std::int64_t>(out.size()) == weight.shape.elements(), "{} of {}",
                 out.size(), weight.shape);
  std::vector<std::int32_t> rows(static_cast<std::size_t>(weight.rows()));
  std::iota(rows.begin(), rows.end(), 0);
  backend.embed(weight, rows, Tensor{out.data(), {weight.rows(), weight.cols()}});
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
    const Shape& there = slot.weight.shape;
    NAUTILE_CHECK(
        there.elements() == p.info.shape.elements() && there.cols() == p.info.shape.cols(),
        "{} is {} in the checkpoint, {} in the recipe: a [model] beside model.from leaves "
        "shapes as they are",
        p.info.name, there, p.info.shape);
    const std::span<float> master = params.master(p);
    if (master.empty()) continue;
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
