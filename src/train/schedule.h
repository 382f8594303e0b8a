// schedule.h — Schedule: what changes while a model is trained: rates, weights of losses, batch.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace nautile::train {

// A stretch of training, measured in tokens, over which the learning rate goes to `end_rate`.
struct RatePhase {
  enum class Shape : std::uint8_t { constant, linear, cosine, sqrt } shape = Shape::constant;
  double tokens = 0;
  double end_rate = 0;  // constant: the rate itself
};

// A value that holds until so many tokens have been seen; the last one holds for ever.
struct StepValue {
  double until_tokens = 0, value = 0;
};

struct ScheduleConfig {
  double peak_rate = 0;
  std::int64_t warmup_steps = 0;  // linear from 0: the first step has peak/warmup_steps
  std::vector<RatePhase> phases;  // after the warm-up's own tokens are counted in, from token 0
  std::vector<StepValue> mtp_lambda, bias_gamma, balance_alpha;
  // Tokens of a step grow linearly from `batch_from` to `batch_to` over `batch_ramp_tokens`.
  double batch_from = 0, batch_to = 0, batch_ramp_tokens = 0;
  // Not 0: a run of so many steps; a step counts as this many tokens, full or not, in phases and
  // values, so that they end with it.
  double tokens_per_step = 0;
};

// Warm-up, constant, cosine, constants: DeepSeek-V3 report §4.2, scaled to `total` tokens: constant
// to 67.6 %, cosine to a tenth of the peak until 96.6 %, that rate until 98.9 %, then 7.3/220 of
// the peak; λ 0.3 until 67.6 % then 0.1; γ 0.001 until 96.6 % then 0; α 1e-4.
ScheduleConfig deepseek_v3_schedule(double peak_rate, std::int64_t warmup_steps, double total);
// Warm-up, stable, decay (Hu et al. 2024): constant, then over the last `decay_share` of the tokens
// to end_rate along 1 − √x.
ScheduleConfig warmup_stable_decay(double peak_rate, std::int64_t warmup_steps, double total,
                                   double decay_share, double end_rate);

// The values of one step.
struct StepRates {
  double rate = 0, mtp_lambda = 0, bias_gamma = 0, balance_alpha = 0;
};

class Schedule {
 public:
  explicit Schedule(ScheduleConfig config) : config_(std::move(config)) {}

  const ScheduleConfig& config() const { return config_; }
  // Step counts from 0; `tokens` were seen before it.
  StepRates at(std::int64_t step, double tokens) const;
  double batch_tokens(double tokens) const;

 private:
  ScheduleConfig config_;
};

}  // namespace nautile::train
