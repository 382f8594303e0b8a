// trainer.h — Trainer: one optimizer step after the other on micro-batch slots.
#pragma once

#include <functional>
#include <memory>

#include "model/model.h"
#include "ops/expert_group.h"
#include "train/gradient_sum.h"
#include "train/losses.h"
#include "train/optimizer.h"
#include "train/param_set.h"
#include "train/schedule.h"

namespace nautile::train {

struct TrainerConfig {
  Precision precision = Precision::bf16;
  OptimizerConfig optimizer;
  ScheduleConfig schedule;
  Keep keep = Keep::block_inputs;
  Format kv_format = Format::bf16;  // what latents, keys and values are rounded to
  double ema_decay = 0;             // of a running mean of the masters; 0: none
  int expert_ranks = 1;             // processes that have the experts among them
  MainLoss main = next_token_loss();
};

// What a step did, for logs and for the eye.
struct StepReport {
  std::int64_t step = 0;    // from 1
  double tokens_seen = 0;   // after it
  double loss = 0;          // nats per weighted token
  double mtp_loss = 0;      // before λ
  double balance_loss = 0;  // after α
  double grad_norm = 0;     // before the clip
  StepRates rates;
  LossSums sums;
  double load_max_over_mean = 0;  // the worst layer's
};

// Owns the model's parameters and what moves them. `next slots` come from the caller: the trainer
// knows no files. Of several processes each has a Trainer, and they call it alike: all but the
// accessors are collective. What it reports, and every weight, has the same bits for any number.
class Trainer {
 public:
  // `comm` outlives the trainer; null: this process is alone.
  Trainer(const ModelConfig& config, const TrainerConfig& train, Backend& backend,
          std::size_t scratch_bytes, Comm* comm = nullptr);
  // Moves the adapter beside weights that stay as they are, quantized or not. The bytes of `frozen`
  // and the adapter outlive the trainer. Throws Error(bad_input) if the adapter does not fit.
  Trainer(const ModelConfig& config, const TrainerConfig& train, Backend& backend,
          std::size_t scratch_bytes, ModelWeights frozen, Adapter& adapter);

  ParamSet& params() { return *params_; }
  Optimizer& optimizer() { return *optimizer_; }
  Model& model() { return *model_; }
  const Model& model() const { return *model_; }
  const TrainerConfig& config() const { return config_; }
  Comm& comm() { return comm_; }
  const ParallelLayout& layout() const { return params_->layout(); }
  // What a Context needs to run the model; null where this process has all experts.
  const ExpertGroup* experts() const { return experts_.get(); }
  const Schedule& schedule() const { return schedule_; }
  std::span<float> ema() { return ema_; }  // of what this rank owns

  // To be called after masters or router biases were set from outside.
  void refresh() {
    params_->refresh(backend_);
    params_->publish(comm_);
  }

  // Steps and tokens done; set when a checkpoint is loaded.
  std::int64_t step_count() const { return step_; }
  double tokens_seen() const { return tokens_; }
  void set_progress(std::int64_t step, double tokens);

  // Gradients of one step of `slots` slots into gradients(), without moving anything; `mine` are
  // layout().share(slots) of them, in order.
  StepReport gradients_of(std::span<const TokenBatch> mine, std::int64_t slots);
  StepReport gradients_of(std::span<const TokenBatch> all) {
    const SlotRange share = layout().share(static_cast<std::int64_t>(all.size()));
    return gradients_of(
        all.subspan(static_cast<std::size_t>(share.begin), static_cast<std::size_t>(share.size())),
        static_cast<std::int64_t>(all.size()));
  }
  std::span<const float> gradients() const { return gradients_; }  // laid out like the masters
  // Clip, optimizer, router biases by what gradients_of has just found. Throws Error(bad_input)
  // naming the step when a loss or the gradient's norm is not finite; nothing has moved then.
  void apply(const StepReport& report);
  // gradients_of, then apply; every rank is given all slots.
  StepReport step(std::span<const TokenBatch> slots);

  // Bytes of working memory that were in use at most.
  std::size_t scratch_peak() const { return arena_.peak(); }

  // Forward alone through one slot; `read` sees hidden [T, D] after the final norm.
  using Reader = std::function<void(Context&, const Model&, Tensor hidden)>;
  void look(const TokenBatch& slot, const Reader& read);
  // Nats and weight of held-out rows: of each slot, or their sum. The ranks share the work.
  std::vector<LossSums> evaluate_each(std::span<const TokenBatch> slots);
  LossSums evaluate(std::span<const TokenBatch> slots);

 private:
  Trainer(const ModelConfig& config, const TrainerConfig& train, Backend& backend,
          std::size_t scratch_bytes, ModelWeights weights, Adapter* adapter, Comm* comm);
  StepTotals totals_of(std::span<const TokenBatch> mine, std::int64_t slots);
  LossSums sum_over_ranks(std::span<const LossSums> mine, std::int64_t slots);
  void update_router_biases(const LossSums& sums, double gamma);
  void update_ema();

  ModelConfig model_config_;
  TrainerConfig config_;
  Backend& backend_;
  LocalComm alone_;
  Comm& comm_;
  Arena arena_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<ParamSet> params_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<ExpertGroup> experts_;
  std::unique_ptr<StepGradients> step_gradients_;
  Schedule schedule_;
  std::span<const float> gradients_;
  std::vector<float> ema_;
  std::int64_t step_ = 0;
  double tokens_ = 0;
};

}  // namespace nautile::train
