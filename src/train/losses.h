// losses.h — the objective of pre-training: cross-entropy, multi-token prediction, balance.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "model/model.h"
#include "ops/ops.h"
#include "train/token_batch.h"

namespace nautile::train {

// Sums over one or more slots, that have one order: what ranks tell one another.
struct SlotSums {
  double weight = 0;   // Σ of loss weights
  double main = 0;     // Σ weight·nats
  double mtp = 0;      // Σ weight·nats of the MTP module, before λ
  double balance = 0;  // Σ over layers of α·loss·(rows of the slot)
  std::int64_t tokens = 0, rows = 0;
};

// What a step reports is made of them.
struct LossSums : SlotSums {
  std::vector<std::vector<std::int64_t>> loads;  // [layer][E] tokens that chose each expert
  std::map<std::string, double> more;            // sums of what another objective measures

  void add(const LossSums& other);
};

// What one slot's objective needs of the whole step: the terms are means over it.
struct StepTotals {
  double weight = 0;      // Σ of loss weights over all slots
  std::int64_t rows = 0;  // packed rows of all slots
};

// What the main model learns: hidden [T, D] after the final norm -> [1], the slot's share of the
// mean over totals.weight. Adds to `sums.more`.
using MainLoss = std::function<Tensor(Context&, const Model&, Tensor hidden, const TokenBatch&,
                                      const StepTotals&, LossSums& sums)>;
// Cross-entropy of the targets.
MainLoss next_token_loss();

struct ObjectiveOptions {
  double mtp_lambda = 0;  // 0: the MTP module is not run
  MainLoss main = next_token_loss();
};

// What the MTP module runs on: the tokens that have a next one in their span, with it.
class MtpBatch {
 public:
  explicit MtpBatch(const TokenBatch& batch);

  std::span<const std::int32_t> index() const { return index_; }  // rows of the main batch
  std::span<const std::int32_t> targets() const { return targets_; }
  std::span<const float> weights() const { return weights_; }
  Batch batch() const { return {tokens_, positions_, starts_, nullptr, packed_}; }

 private:
  std::vector<std::int32_t> index_, tokens_, positions_, starts_, packed_, targets_;
  std::vector<float> weights_;
};

Batch model_batch(const TokenBatch& batch);

// What a rank runs whose experts others need and that has no slot left itself: one empty row.
TokenBatch no_tokens();

// Runs forward and back through one slot; adds its gradients, scaled as its share of the step, to
// `gradients`. main is what `options` say, else Σ w·CE / Σ w; mtp likewise over the same Σ w
// (DeepSeek-V3 report eq. 24: 1/T); total = main + λ·mtp + Σ_layers balance, the last averaged over
// packed rows. With `experts`
// all ranks of the group run it together.
LossSums backward_slot(Backend& backend, Arena& arena, Keep keep, const Model& model,
                       const TokenBatch& batch, const StepTotals& totals,
                       const ObjectiveOptions& options, ParamGradients& gradients,
                       const ExpertGroup* experts = nullptr);

// Forward alone: main only, with its weight.
LossSums evaluate_slot(Backend& backend, Arena& arena, const Model& model, const TokenBatch& batch,
                       const MainLoss& main = next_token_loss(),
                       const ExpertGroup* experts = nullptr);

}  // namespace nautile::train
