// trainer.h — Trainer: one optimizer step after the other on micro-batch slots.
#pragma once

#include <functional>
#include <memory>

#include "model/model.h"
#include "train/gradient_tree.h"
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
// knows no files.
class Trainer {
 public:
  Trainer(const ModelConfig& config, const TrainerConfig& train, Backend& backend,
          std::size_t scratch_bytes);

  ParamSet& params() { return *params_; }
  Optimizer& optimizer() { return *optimizer_; }
  Model& model() { return *model_; }
  const TrainerConfig& config() const { return config_; }
  const Schedule& schedule() const { return schedule_; }
  std::span<float> ema() { return ema_; }

  // To be called after masters or router biases were set from outside.
  void refresh() { params_->refresh(backend_); }

  // Steps and tokens done; set when a checkpoint is loaded.
  std::int64_t step_count() const { return step_; }
  double tokens_seen() const { return tokens_; }
  void set_progress(std::int64_t step, double tokens);

  // Gradients of one step into gradients(), without moving anything; `slots` in order.
  StepReport gradients_of(std::span<const TokenBatch> slots);
  std::span<const float> gradients() const { return gradients_; }
  // Clip, optimizer, router biases by what gradients_of has just found. Throws Error(bad_input)
  // naming the step when a loss or the gradient's norm is not finite; nothing has moved then.
  void apply(const StepReport& report);
  // gradients_of, then apply.
  StepReport step(std::span<const TokenBatch> slots);

  // Bytes of working memory that were in use at most.
  std::size_t scratch_peak() const { return arena_.peak(); }

  // Nats and weight of held-out rows.
  LossSums evaluate(std::span<const TokenBatch> slots);

 private:
  void update_router_biases(const LossSums& sums, double gamma);
  void update_ema();

  ModelConfig model_config_;
  TrainerConfig config_;
  Backend& backend_;
  Arena arena_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<ParamSet> params_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<GradientTree> tree_;
  Schedule schedule_;
  std::span<float> gradients_;
  std::vector<float> ema_;
  std::int64_t step_ = 0;
  double tokens_ = 0;
};

}  // namespace nautile::train
