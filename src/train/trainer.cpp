#include "train/trainer.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace nautile::train {
namespace {

ModelOptions model_options(const TrainerConfig& train) {
  return {.mla = MlaForm::expanded, .kv_format = train.kv_format};
}

double max_over_mean(const std::vector<std::int64_t>& load) {
  const double sum =
      static_cast<double>(std::accumulate(load.begin(), load.end(), std::int64_t{0}));
  const double most = static_cast<double>(*std::max_element(load.begin(), load.end()));
  return sum > 0 ? most * static_cast<double>(load.size()) / sum : 0;
}

}  // namespace

Trainer::Trainer(const ModelConfig& config, const TrainerConfig& train, Backend& backend,
                 std::size_t scratch_bytes)
    : model_config_(config),
      config_(train),
      backend_(backend),
      arena_(scratch_bytes),
      schedule_(train.schedule) {
  NAUTILE_CHECK(config.mtp_layers <= 1, "training knows one MTP module; the model has {}",
                config.mtp_layers);
  model_ = std::make_unique<Model>(config, ModelWeights(config), model_options(train));
  params_ = std::make_unique<ParamSet>(config, model_->weights(), train.precision);
  optimizer_ = make_optimizer(train.optimizer, *params_);
  tree_ = std::make_unique<GradientTree>(*params_);
  if (train.ema_decay > 0) ema_.assign(params_->size(), 0.0f);
}

void Trainer::set_progress(std::int64_t step, double tokens) {
  step_ = step;
  tokens_ = tokens;
}

StepReport Trainer::gradients_of(std::span<const TokenBatch> slots) {
  StepReport report;
  report.rates = schedule_.at(step_, tokens_);
  model_->options().balance_alpha = static_cast<float>(report.rates.balance_alpha);
  StepTotals totals;
  for (const TokenBatch& slot : slots) {
    for (float w : slot.loss_weight) totals.weight += static_cast<double>(w);
    totals.rows += slot.rows.empty() ? 0 : static_cast<std::int64_t>(slot.rows.size()) - 1;
  }
  NAUTILE_CHECK(totals.weight > 0, "step {}: no token of the batch has a loss", step_ + 1);
  const ObjectiveOptions options{model_config_.mtp_layers > 0 ? report.rates.mtp_lambda : 0};
  for (const TokenBatch& slot : slots) {
    GradientBuffer& buffer = tree_->begin();
    report.sums.add(
        backward_slot(backend_, arena_, config_.keep, *model_, slot, totals, options, buffer));
    tree_->end(backend_.gradients());
  }
  gradients_ = tree_->total(backend_.gradients());
  report.step = step_ + 1;
  report.tokens_seen = tokens_ + static_cast<double>(report.sums.tokens);
  report.loss = report.sums.main / totals.weight;
  report.mtp_loss = report.sums.mtp / totals.weight;
  report.balance_loss = report.sums.balance / static_cast<double>(totals.rows);
  report.grad_norm = std::sqrt(backend_.gradients().sum_of_squares(
      gradients_.data(), static_cast<std::int64_t>(gradients_.size())));
  for (const std::vector<std::int64_t>& load : report.sums.loads) {
    if (!load.empty())
      report.load_max_over_mean = std::max(report.load_max_over_mean, max_over_mean(load));
  }
  return report;
}

StepReport Trainer::step(std::span<const TokenBatch> slots) {
  const StepReport report = gradients_of(slots);
  apply(report);
  return report;
}

void Trainer::apply(const StepReport& report) {
  NAUTILE_CHECK(std::isfinite(report.loss) && std::isfinite(report.grad_norm),
                "step {}: loss {} and gradient norm {}; nothing was changed", report.step,
                report.loss, report.grad_norm);
  // As torch.nn.utils.clip_grad_norm_.
  const double clip = config_.optimizer.clip;
  const double scale = clip > 0 ? std::min(1.0, clip / (report.grad_norm + 1e-6)) : 1;
  optimizer_->step(backend_, *params_, gradients_, scale, report.rates.rate, step_ + 1);
  update_router_biases(report.sums, report.rates.bias_gamma);
  params_->refresh(backend_);
  set_progress(step_ + 1, report.tokens_seen);
  update_ema();
}

// b += γ·sign(mean load − load), over the whole step (DeepSeek-V3 report §2.1.2).
void Trainer::update_router_biases(const LossSums& sums, double gamma) {
  if (gamma == 0) return;
  for (const RouterBias& bias : params_->router_biases()) {
    const std::vector<std::int64_t>& load = sums.loads[static_cast<std::size_t>(bias.layer)];
    if (load.empty()) continue;
    const std::int64_t sum = std::accumulate(load.begin(), load.end(), std::int64_t{0});
    for (std::size_t e = 0; e < load.size(); ++e) {
      const std::int64_t scaled = load[e] * static_cast<std::int64_t>(load.size());
      const double sign = scaled < sum ? 1 : scaled > sum ? -1 : 0;
      bias.slot->values[e] += static_cast<float>(gamma * sign);
    }
  }
}

// mean = decay·mean + (1 − decay)·masters, without bias: the first masters count fully.
void Trainer::update_ema() {
  if (ema_.empty()) return;
  const double decay =
      std::min(config_.ema_decay, static_cast<double>(step_) / static_cast<double>(step_ + 9));
  backend_.gradients().blend(static_cast<float>(1 - decay), params_->masters().data(),
                             static_cast<float>(decay), static_cast<std::int64_t>(ema_.size()),
                             ema_.data());
}

LossSums Trainer::evaluate(std::span<const TokenBatch> slots) {
  LossSums sums;
  for (const TokenBatch& slot : slots) sums.add(evaluate_slot(backend_, arena_, *model_, slot));
  return sums;
}

}  // namespace nautile::train
