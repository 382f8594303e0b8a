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

// What another objective measures stays with the rank: a run that has one is of one process.
void add_measures(std::span<const LossSums> slots, LossSums& sums) {
  for (const LossSums& slot : slots) {
    for (const auto& [name, value] : slot.more) sums.more[name] += value;
  }
}

}  // namespace

Trainer::Trainer(const ModelConfig& config, const TrainerConfig& train, Backend& backend,
                 std::size_t scratch_bytes, Comm* comm)
    : Trainer(config, train, backend, scratch_bytes, ModelWeights(config), nullptr, comm) {}

Trainer::Trainer(const ModelConfig& config, const TrainerConfig& train, Backend& backend,
                 std::size_t scratch_bytes, ModelWeights frozen, Adapter& adapter)
    : Trainer(config, train, backend, scratch_bytes, std::move(frozen), &adapter, nullptr) {}

Trainer::Trainer(const ModelConfig& config, const TrainerConfig& train, Backend& backend,
                 std::size_t scratch_bytes, ModelWeights weights, Adapter* adapter, Comm* comm)
    : model_config_(config),
      config_(train),
      backend_(backend),
      comm_(comm ? *comm : alone_),
      arena_(scratch_bytes),
      schedule_(train.schedule) {
  NAUTILE_CHECK(config.mtp_layers <= 1, "training knows one MTP module; the model has {}",
                config.mtp_layers);
  model_ = std::make_unique<Model>(config, std::move(weights), model_options(train));
  const ParallelLayout layout(comm_.size(), comm_.rank(), train.expert_ranks);
  if (adapter) {
    adapter->attach(config, model_->weights());
    params_ = std::make_unique<ParamSet>(*adapter);
  } else {
    params_ = std::make_unique<ParamSet>(config, model_->weights(), train.precision, layout);
  }
  optimizer_ = make_optimizer(train.optimizer, *params_);
  if (train.expert_ranks > 1) {
    experts_ = std::make_unique<ExpertGroup>(ExpertGroup{
        comm_, layout.group_begin(layout.rank()), train.expert_ranks, config.moe.route.experts});
  }
  step_gradients_ = std::make_unique<StepGradients>(*params_, comm_);
  if (train.ema_decay > 0) ema_.assign(params_->size(), 0.0f);
}

void Trainer::set_progress(std::int64_t step, double tokens) {
  step_ = step;
  tokens_ = tokens;
}

StepTotals Trainer::totals_of(std::span<const TokenBatch> mine, std::int64_t slots) {
  std::vector<LossSums> own(mine.size());
  for (std::size_t i = 0; i < mine.size(); ++i) {
    for (float w : mine[i].loss_weight) own[i].weight += static_cast<double>(w);
    own[i].rows = mine[i].rows.empty() ? 0 : static_cast<std::int64_t>(mine[i].rows.size()) - 1;
  }
  const LossSums sums = sum_over_ranks(own, slots);
  NAUTILE_CHECK(sums.weight > 0, "step {}: no token of the batch has a loss", step_ + 1);
  return {sums.weight, sums.rows};
}

// Slot by slot, in their order, whoever ran them.
LossSums Trainer::sum_over_ranks(std::span<const LossSums> mine, std::int64_t slots) {
  std::vector<std::size_t> counts;
  for (int r = 0; r < comm_.size(); ++r)
    counts.push_back(static_cast<std::size_t>(layout().share(slots, r).size()) * sizeof(SlotSums));
  const std::vector<SlotSums> own(mine.begin(), mine.end());
  std::vector<SlotSums> all(static_cast<std::size_t>(slots));
  comm_.all_gather(std::as_bytes(std::span(own)), counts, std::as_writable_bytes(std::span(all)));
  LossSums sums;
  for (const SlotSums& slot : all) sums.add({slot, {}, {}});
  add_measures(mine, sums);
  // Whole numbers may be added in any order.
  const std::size_t layers =
                        static_cast<std::size_t>(model_config_.layers + model_config_.mtp_layers),
                    experts = static_cast<std::size_t>(model_config_.moe.route.experts);
  sums.loads.resize(layers);
  if (experts == 0) return sums;
  std::vector<std::int64_t> flat(layers * experts);
  for (const LossSums& slot : mine) {
    for (std::size_t i = 0; i < flat.size() && !slot.loads.empty(); ++i)
      flat[i] += slot.loads[i / experts].empty() ? 0 : slot.loads[i / experts][i % experts];
  }
  comm_.sum(flat);
  for (std::size_t l = 0; l < layers; ++l) {
    const auto begin = flat.begin() + static_cast<std::ptrdiff_t>(l * experts);
    const auto end = begin + static_cast<std::ptrdiff_t>(experts);
    if (std::any_of(begin, end, [](std::int64_t n) { return n > 0; }))
      sums.loads[l].assign(begin, end);
  }
  return sums;
}

StepReport Trainer::gradients_of(std::span<const TokenBatch> mine, std::int64_t slots) {
  NAUTILE_ASSERT(static_cast<std::int64_t>(mine.size()) == layout().share(slots).size(),
                 "{} slots, of {} on {} ranks", mine.size(), slots, comm_.size());
  StepReport report;
  report.rates = schedule_.at(step_, tokens_);
  model_->options().balance_alpha = static_cast<float>(report.rates.balance_alpha);
  const StepTotals totals = totals_of(mine, slots);
  const ObjectiveOptions options{model_config_.mtp_layers > 0 ? report.rates.mtp_lambda : 0,
                                 config_.main};
  const TokenBatch idle = no_tokens();
  std::vector<LossSums> own;
  // Who has no slot left takes part where others need its experts.
  const std::int64_t rounds =
      experts_ ? layout().most_slots(slots) : static_cast<std::int64_t>(mine.size());
  for (std::int64_t round = 0; round < rounds; ++round) {
    const auto at = static_cast<std::size_t>(round);
    step_gradients_->begin_round();
    const LossSums sums =
        backward_slot(backend_, arena_, config_.keep, *model_, at < mine.size() ? mine[at] : idle,
                      totals, options, *step_gradients_, experts_.get());
    if (at < mine.size()) own.push_back(sums);
    step_gradients_->end_round(backend_.gradients(), slots, round);
  }
  report.sums = sum_over_ranks(own, slots);
  gradients_ = step_gradients_->total(backend_.gradients(), slots);
  report.step = step_ + 1;
  report.tokens_seen = tokens_ + static_cast<double>(report.sums.tokens);
  report.loss = report.sums.main / totals.weight;
  report.mtp_loss = report.sums.mtp / totals.weight;
  report.balance_loss = report.sums.balance / static_cast<double>(totals.rows);
  report.grad_norm = step_gradients_->norm(backend_.gradients(), gradients_);
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
  refresh();
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

// mean = decay·mean + (1 − decay)·masters. The first mean is the first masters, and the decay grows
// from there, so that nothing pulls towards 0.
void Trainer::update_ema() {
  if (ema_.empty()) return;
  const double decay =
      std::min(config_.ema_decay, static_cast<double>(step_ - 1) / static_cast<double>(step_ + 8));
  backend_.gradients().blend(static_cast<float>(1 - decay), params_->masters().data(),
                             static_cast<float>(decay), static_cast<std::int64_t>(ema_.size()),
                             ema_.data());
}

std::vector<LossSums> Trainer::evaluate_each(std::span<const TokenBatch> slots) {
  const TokenBatch idle = no_tokens();
  const std::int64_t count = static_cast<std::int64_t>(slots.size());
  std::vector<SlotSums> own, all(slots.size());
  std::vector<std::map<std::string, double>> measured;  // of this rank's
  const SlotRange share = layout().share(count);
  for (std::int64_t i = 0; i < (experts_ ? layout().most_slots(count) : share.size()); ++i) {
    const bool runs = i < share.size();
    const TokenBatch& slot = runs ? slots[static_cast<std::size_t>(share.begin + i)] : idle;
    const LossSums sums =
        evaluate_slot(backend_, arena_, *model_, slot, config_.main, experts_.get());
    if (!runs) continue;
    own.push_back(sums);
    measured.push_back(sums.more);
  }
  std::vector<std::size_t> counts;
  for (int r = 0; r < comm_.size(); ++r)
    counts.push_back(static_cast<std::size_t>(layout().share(count, r).size()) * sizeof(SlotSums));
  comm_.all_gather(std::as_bytes(std::span(own)), counts, std::as_writable_bytes(std::span(all)));
  std::vector<LossSums> list;
  for (const SlotSums& slot : all) list.push_back({slot, {}, {}});
  for (std::size_t i = 0; i < measured.size(); ++i)
    list[static_cast<std::size_t>(share.begin) + i].more = std::move(measured[i]);
  return list;
}

void Trainer::look(const TokenBatch& slot, const Reader& read) {
  Arena::Scope scope(arena_);
  Context ctx{backend_, arena_};
  read(ctx, *model_, model_->final_norm(ctx, model_->hidden(ctx, model_batch(slot))));
}

LossSums Trainer::evaluate(std::span<const TokenBatch> slots) {
  LossSums sums;
  for (const LossSums& slot : evaluate_each(slots)) sums.add(slot);
  return sums;
}

}  // namespace nautile::train
