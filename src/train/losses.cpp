#include "train/losses.h"

#include <algorithm>

namespace nautile::train {
namespace {

// Counts choices and losses while a slot runs.
ModelWatch counting(const Model& model, const TokenBatch& batch, LossSums& sums) {
  const ModelConfig& config = model.config();
  sums.loads.resize(static_cast<std::size_t>(config.layers + config.mtp_layers));
  ModelWatch watch;
  watch.routing = [&sums, experts = config.moe.route.experts](int layer,
                                                              const ops::Routing& routing) {
    std::vector<std::int64_t>& load = sums.loads[static_cast<std::size_t>(layer)];
    load.resize(static_cast<std::size_t>(experts));
    for (std::int32_t e : routing.chosen) ++load[static_cast<std::size_t>(e)];
  };
  const double rows = static_cast<double>(batch.rows.size()) - 1;
  watch.balance = [&sums, rows](int, float loss) {
    sums.balance += static_cast<double>(loss) * rows;
  };
  return watch;
}

// Σ w·CE of what a cross_entropy over `total` gave.
double nats(Tensor loss, double total) {
  return static_cast<double>(loss.data[0]) * total;
}

}  // namespace

void LossSums::add(const LossSums& other) {
  weight += other.weight;
  main += other.main;
  mtp += other.mtp;
  balance += other.balance;
  tokens += other.tokens;
  rows += other.rows;
  for (const auto& [name, value] : other.more) more[name] += value;
  if (loads.size() < other.loads.size()) loads.resize(other.loads.size());
  for (std::size_t l = 0; l < other.loads.size(); ++l) {
    loads[l].resize(std::max(loads[l].size(), other.loads[l].size()));
    for (std::size_t e = 0; e < other.loads[l].size(); ++e) loads[l][e] += other.loads[l][e];
  }
}

// Spans lose their last token each; packed rows keep their bounds around what is left.
MtpBatch::MtpBatch(const TokenBatch& batch) : starts_{0}, packed_{0} {
  std::size_t row = 1;
  for (std::size_t s = 0; s + 1 < batch.starts.size(); ++s) {
    for (std::int32_t t = batch.starts[s]; t + 1 < batch.starts[s + 1]; ++t) {
      const std::size_t at = static_cast<std::size_t>(t);
      index_.push_back(t);
      tokens_.push_back(batch.tokens[at + 1]);
      positions_.push_back(batch.positions[at]);
      targets_.push_back(batch.targets2[at]);
      weights_.push_back(batch.loss_weight2[at]);
    }
    const std::int32_t so_far = static_cast<std::int32_t>(index_.size());
    if (so_far > starts_.back()) starts_.push_back(so_far);
    if (batch.starts[s + 1] != batch.rows[row]) continue;
    packed_.push_back(so_far);  // an empty row counts in the mean
    ++row;
  }
}

MainLoss next_token_loss() {
  return [](Context& ctx, const Model& model, Tensor hidden, const TokenBatch& batch,
            const StepTotals& totals, LossSums&) {
    return ops::cross_entropy(ctx, hidden, model.head(), batch.targets, batch.loss_weight,
                              totals.weight);
  };
}

Batch model_batch(const TokenBatch& batch) {
  return {batch.tokens, batch.positions, batch.starts, nullptr, batch.rows};
}

TokenBatch no_tokens() {
  TokenBatch batch;
  batch.starts = batch.rows = batch.documents = {0, 0};
  return batch;
}

LossSums backward_slot(Backend& backend, Arena& arena, Keep keep, const Model& model,
                       const TokenBatch& batch, const StepTotals& totals,
                       const ObjectiveOptions& options, ParamGradients& gradients,
                       const ExpertGroup* experts) {
  LossSums sums;
  if (batch.size() == 0 && !experts) return sums;
  Arena::Scope scope(arena);
  Tape tape(keep);
  const double slot_rows = static_cast<double>(batch.rows.size()) - 1;
  tape.attached_scale = static_cast<float>(slot_rows / static_cast<double>(totals.rows));
  Context ctx{backend, arena, &tape, experts};
  const ModelWatch watch = counting(model, batch, sums);
  const Tensor hidden = model.final_norm(ctx, model.hidden(ctx, model_batch(batch), watch));
  const Tensor main = options.main(ctx, model, hidden, batch, totals, sums);
  sums.main = nats(main, totals.weight);
  Tensor total = main;
  const MtpBatch next(batch);
  if (options.mtp_lambda > 0 && (experts || !next.index().empty())) {
    const Tensor later =
        model.mtp_hidden(ctx, 0, ops::take_rows(ctx, hidden, next.index()), next.batch(), watch);
    const Tensor mtp =
        ops::cross_entropy(ctx, later, model.head(), next.targets(), next.weights(), totals.weight);
    sums.mtp = nats(mtp, totals.weight);
    total = ops::add(ctx, main, ops::scale(ctx, mtp, static_cast<float>(options.mtp_lambda)));
  }
  const Tensor one = make_tensor(arena, {1});
  one.data[0] = 1;
  tape.backward(ctx, total, one, gradients);
  for (float w : batch.loss_weight) sums.weight += static_cast<double>(w);
  sums.tokens = batch.size();
  sums.rows = static_cast<std::int64_t>(batch.rows.size()) - 1;
  return sums;
}

LossSums evaluate_slot(Backend& backend, Arena& arena, const Model& model, const TokenBatch& batch,
                       const MainLoss& main, const ExpertGroup* experts) {
  LossSums sums;
  for (float w : batch.loss_weight) sums.weight += static_cast<double>(w);
  sums.tokens = batch.size();
  sums.rows = static_cast<std::int64_t>(batch.rows.size()) - 1;
  if (sums.weight == 0 && !experts) return sums;
  Arena::Scope scope(arena);
  Context ctx{backend, arena, nullptr, experts};
  const Tensor hidden = model.final_norm(ctx, model.hidden(ctx, model_batch(batch)));
  sums.main = nats(main(ctx, model, hidden, batch, {std::max(sums.weight, 1e-30), sums.rows}, sums),
                   sums.weight);
  return sums;
}

}  // namespace nautile::train
