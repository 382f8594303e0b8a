// losses.h — the objective of pre-training: cross-entropy, multi-token prediction, balance.
#pragma once

#include <vector>

#include "model/model.h"
#include "ops/ops.h"
#include "train/token_batch.h"

namespace nautile::train {

// Sums over one or more slots; what a step reports is made of them.
struct LossSums {
  double weight = 0;   // Σ of loss weights
  double main = 0;     // Σ weight·nats
  double mtp = 0;      // Σ weight·nats of the MTP module, before λ
  double balance = 0;  // Σ over layers of α·loss·(rows of the slot)
  std::int64_t tokens = 0, rows = 0;
  std::vector<std::vector<std::int64_t>> loads;  // [layer][E] tokens that chose each expert

  void add(const LossSums& other);
};

// What one slot's objective needs of the whole step: the terms are means over it.
struct StepTotals {
  double weight = 0;      // Σ of loss weights over all slots
  std::int64_t rows = 0;  // packed rows of all slots
};

struct ObjectiveOptions {
  double mtp_lambda = 0;  // 0: the MTP module is not run
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

// Runs forward and back through one slot; adds its gradients, scaled as its share of the step, to
// `gradients`. main = Σ w·CE / Σ w; mtp likewise over the same Σ w (DeepSeek-V3 report eq. 24:
// 1/T); total = main + λ·mtp + Σ_layers balance, the last averaged over packed rows.
LossSums backward_slot(Backend& backend, Arena& arena, Keep keep, const Model& model,
                       const TokenBatch& batch, const StepTotals& totals,
                       const ObjectiveOptions& options, ParamGradients& gradients);

// Forward alone: main only, with its weight.
LossSums evaluate_slot(Backend& backend, Arena& arena, const Model& model, const TokenBatch& batch);

}  // namespace nautile::train
