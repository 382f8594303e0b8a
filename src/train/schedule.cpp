#include "train/schedule.h"

#include <algorithm>
#include <cmath>

namespace nautile::train {
namespace {

constexpr double kPi = 3.14159265358979323846;

double value_at(const std::vector<StepValue>& values, double tokens) {
  for (const StepValue& v : values) {
    if (tokens < v.until_tokens) return v.value;
  }
  return values.empty() ? 0 : values.back().value;
}

double blend(RatePhase::Shape shape, double from, double to, double x) {
  switch (shape) {
    case RatePhase::Shape::constant:
      return to;
    case RatePhase::Shape::linear:
      return from + (to - from) * x;
    case RatePhase::Shape::cosine:
      return to + (from - to) * (1 + std::cos(kPi * x)) / 2;
    case RatePhase::Shape::sqrt:
      return to + (from - to) * (1 - std::sqrt(x));
  }
  return to;
}

double phase_rate(const ScheduleConfig& c, double tokens) {
  double begin = 0, from = c.peak_rate;
  for (const RatePhase& phase : c.phases) {
    if (tokens < begin + phase.tokens)
      return blend(phase.shape, from, phase.end_rate, (tokens - begin) / phase.tokens);
    begin += phase.tokens;
    from = phase.end_rate;
  }
  return from;
}

}  // namespace

ScheduleConfig deepseek_v3_schedule(double peak_rate, std::int64_t warmup_steps, double total) {
  using Shape = RatePhase::Shape;
  const double constant = total * 10.0 / 14.8, cosine = total * 4.3 / 14.8,
               low = total * 0.333 / 14.8;
  ScheduleConfig c;
  c.peak_rate = peak_rate;
  c.warmup_steps = warmup_steps;
  c.phases = {{Shape::constant, constant, peak_rate},
              {Shape::cosine, cosine, peak_rate / 10},
              {Shape::constant, low, peak_rate / 10},
              {Shape::constant, total - constant - cosine - low, peak_rate * 7.3 / 220}};
  c.mtp_lambda = {{constant, 0.3}, {total, 0.1}};
  c.bias_gamma = {{total * 14.3 / 14.8, 0.001}, {total, 0.0}};
  c.balance_alpha = {{total, 1e-4}};
  return c;
}

ScheduleConfig warmup_stable_decay(double peak_rate, std::int64_t warmup_steps, double total,
                                   double decay_share, double end_rate) {
  ScheduleConfig c = deepseek_v3_schedule(peak_rate, warmup_steps, total);
  c.phases = {{RatePhase::Shape::constant, total * (1 - decay_share), peak_rate},
              {RatePhase::Shape::sqrt, total * decay_share, end_rate}};
  return c;
}

StepRates Schedule::at(std::int64_t step, double tokens) const {
  if (config_.tokens_per_step > 0) tokens = static_cast<double>(step) * config_.tokens_per_step;
  StepRates rates;
  rates.rate = phase_rate(config_, tokens);
  if (step < config_.warmup_steps) {
    const double share = static_cast<double>(step + 1) / static_cast<double>(config_.warmup_steps);
    rates.rate = std::min(rates.rate, config_.peak_rate * share);
  }
  rates.mtp_lambda = value_at(config_.mtp_lambda, tokens);
  rates.bias_gamma = value_at(config_.bias_gamma, tokens);
  rates.balance_alpha = value_at(config_.balance_alpha, tokens);
  return rates;
}

double Schedule::batch_tokens(double tokens) const {
  if (config_.batch_ramp_tokens <= 0 || tokens >= config_.batch_ramp_tokens)
    return config_.batch_to;
  return config_.batch_from +
         (config_.batch_to - config_.batch_from) * tokens / config_.batch_ramp_tokens;
}

}  // namespace nautile::train
