#include "align/preference.h"

#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/file.h"
#include "ops/ops.h"

namespace nautile::align {
namespace {

using train::TokenBatch;

// A file of references: the checksum, then the numbers of all training and held-out answers.
constexpr std::size_t kChecksumBytes = 8;

std::string checksum_of(const std::string& bytes) {
  const std::uint64_t sum = XXH64(bytes.data(), bytes.size(), 0);
  return {reinterpret_cast<const char*>(&sum), kChecksumBytes};
}

// [D] sums of the answers' log-probabilities.
Tensor answer_log_probs(Context& ctx, const Model& model, Tensor hidden, const TokenBatch& batch) {
  return ops::span_sums(ctx, ops::log_prob(ctx, hidden, model.head(), batch.targets),
                        batch.documents);
}

// `count` times a number, as old as the tape: pull-backs refer to it.
std::span<const float> repeated(Context& ctx, double value, std::int64_t count) {
  const Tensor all = make_tensor(ctx.scratch, {count});
  std::fill_n(all.data, count, static_cast<float>(value));
  return {all.data, static_cast<std::size_t>(count)};
}

// The means over pairs of what people watch, as sums.
void measure(const PreferenceConfig& config, Tensor log_probs, const TokenBatch& batch,
             train::LossSums& sums) {
  for (std::size_t p = 0; p + 1 < batch.reference.size(); p += 2) {
    const double chosen = log_probs.data[p], rejected = log_probs.data[p + 1],
                 reward = config.beta * (chosen - static_cast<double>(batch.reference[p])),
                 other = config.beta * (rejected - static_cast<double>(batch.reference[p + 1]));
    sums.more["rewards/chosen"] += reward;
    sums.more["rewards/rejected"] += other;
    sums.more["rewards/margins"] += reward - other;
    sums.more["rewards/accuracies"] += reward > other ? 1 : 0;
    sums.more["logps/chosen"] += chosen;
    sums.more["logps/rejected"] += rejected;
  }
}

// The chosen answer of a pair; the other one follows it.
struct Place {
  std::size_t shard;
  std::uint64_t document;
};

// `first`: pairs before each shard.
Place place_of(const std::vector<std::uint64_t>& first, std::uint64_t pair) {
  const auto after = std::upper_bound(first.begin(), first.end(), pair);
  const auto shard = static_cast<std::size_t>(after - first.begin()) - 1;
  return {shard, 2 * (pair - first[shard])};
}

// Targets only where an answer is foretold; each pair counts once.
void only_answers(TokenBatch& batch) {
  for (std::size_t t = 0; t < batch.targets.size(); ++t) {
    if (batch.loss_weight[t] == 0) batch.targets[t] = train::kNoTarget;
    if (batch.loss_weight2[t] == 0) batch.targets2[t] = train::kNoTarget;
  }
  std::fill(batch.loss_weight.begin(), batch.loss_weight.end(), 0.0f);
  std::fill(batch.loss_weight2.begin(), batch.loss_weight2.end(), 0.0f);
  for (std::size_t d = 0; d + 1 < batch.documents.size(); d += 2)
    batch.loss_weight[static_cast<std::size_t>(batch.documents[d])] = 1;
}

}  // namespace

train::MainLoss preference_loss(const PreferenceConfig& config) {
  return [config](Context& ctx, const Model& model, Tensor hidden, const TokenBatch& batch,
                  const train::StepTotals& totals, train::LossSums& sums) {
    const Tensor log_probs = answer_log_probs(ctx, model, hidden, batch);
    NAUTILE_ASSERT(static_cast<std::int64_t>(batch.reference.size()) == log_probs.elements(),
                   "{} references for {} answers", batch.reference.size(), log_probs.elements());
    measure(config, log_probs, batch, sums);
    const std::int64_t pairs = log_probs.elements() / 2;
    const ops::Halves half = ops::split(ctx, Tensor{log_probs.data, {pairs, 2}, log_probs.id}, 1);
    const Tensor reference = make_tensor(ctx.scratch, {pairs, 1});
    for (std::int64_t p = 0; p < pairs; ++p) {
      const auto at = static_cast<std::size_t>(2 * p);
      reference.data[p] = batch.reference[at + 1] - batch.reference[at];
    }
    const Tensor difference = ops::add(ctx, half.left, ops::scale(ctx, half.right, -1));
    const Tensor z =
        ops::scale(ctx, ops::add(ctx, difference, reference), static_cast<float>(config.beta));
    Tensor loss = ops::weighted_sum(ctx, ops::log_sigmoid(ctx, z),
                                    repeated(ctx, config.smoothing - 1, pairs));
    if (config.smoothing > 0) {
      const Tensor wrong = ops::log_sigmoid(ctx, ops::scale(ctx, z, -1));
      loss = ops::add(ctx, loss,
                      ops::weighted_sum(ctx, wrong, repeated(ctx, -config.smoothing, pairs)));
    }
    return ops::scale(ctx, loss, static_cast<float>(1 / totals.weight));
  };
}

PairSource::PairSource(const train::DataFolder& folder, train::DatasetOptions options)
    : options_(std::move(options)),
      train_(open(folder.sources.at(0).train)),
      eval_(open(folder.sources.at(0).held_out)) {
  NAUTILE_CHECK(train_.count > 0, "{} has no pairs to learn from", folder.path);
  packer_ = std::make_unique<const train::Packer>(
      train::Packing::whole, options_.seq_len, options_.slot_rows,
      [this](std::uint64_t draw) { return length(train_, drawn(draw)); });
}

PairSource::Pairs PairSource::open(const std::vector<train::Shard>& shards) const {
  Pairs pairs;
  pairs.shards = &shards;
  pairs.first = {0};
  for (const train::Shard& shard : shards) {
    NAUTILE_CHECK(shard.documents() % 2 == 0, "{} holds {} answers: expected pairs", shard.path(),
                  shard.documents());
    for (std::uint64_t d = 0; d < shard.documents(); d += 2) {
      const std::uint64_t tokens = shard.length(d) + shard.length(d + 1);
      NAUTILE_CHECK(tokens <= static_cast<std::uint64_t>(options_.seq_len),
                    "{}: a pair has {} tokens, a row {} (data.seq_len)", shard.path(), tokens,
                    options_.seq_len);
    }
    pairs.count += shard.documents() / 2;
    pairs.first.push_back(pairs.count);
  }
  pairs.reference.resize(2 * pairs.count);
  return pairs;
}

// As Dataset draws units of its only source.
std::uint64_t PairSource::drawn(std::uint64_t draw) const {
  const train::Permutation order(train_.count,
                                 options_.seed * 0x9E3779B97F4A7C15u + draw / train_.count);
  return order(draw % train_.count);
}

std::int64_t PairSource::length(const Pairs& pairs, std::uint64_t pair) {
  const Place place = place_of(pairs.first, pair);
  const train::Shard& shard = (*pairs.shards)[place.shard];
  return static_cast<std::int64_t>(shard.length(place.document) + shard.length(place.document + 1));
}

void PairSource::put(const Pairs& pairs, std::uint64_t pair, train::BatchBuilder& builder,
                     std::vector<float>& reference) const {
  const Place place = place_of(pairs.first, pair);
  const train::Shard& shard = (*pairs.shards)[place.shard];
  for (std::uint64_t i = 0; i < 2; ++i) {
    train::UnitTokens unit;
    unit.tokens.resize(shard.length(place.document + i));
    shard.read(place.document + i, 0, unit.tokens);
    unit.weights.assign(unit.tokens.size(), 0.0f);
    for (const train::TokenRun& run : shard.runs(place.document + i))
      std::fill(unit.weights.begin() + run.begin, unit.weights.begin() + run.end, 1.0f);
    builder.piece(unit, 0, static_cast<std::int64_t>(unit.tokens.size()));
    reference.push_back(pairs.reference[2 * pair + i]);
  }
}

TokenBatch PairSource::batch(const Pairs& pairs, const std::vector<train::PackedRow>& rows,
                             const std::function<std::uint64_t(std::uint64_t)>& pair_of) const {
  train::BatchBuilder builder(train::Attend::document);
  std::vector<float> reference;
  for (const train::PackedRow& row : rows) {
    for (const train::PackedPiece& piece : row) put(pairs, pair_of(piece.draw), builder, reference);
    builder.end_row();
  }
  TokenBatch batch = builder.finish();
  batch.reference = std::move(reference);
  only_answers(batch);
  return batch;
}

TokenBatch PairSource::slot(std::int64_t index) const {
  return batch(train_, packer_->slot(index), [this](std::uint64_t draw) { return drawn(draw); });
}

// All pairs once, in order.
std::vector<TokenBatch> PairSource::batches(const Pairs& pairs) const {
  std::vector<TokenBatch> list;
  if (pairs.count == 0) return list;
  const train::Packer packer(
      train::Packing::whole, options_.seq_len, options_.slot_rows,
      [&](std::uint64_t draw) { return length(pairs, draw); }, pairs.count);
  for (std::int64_t index = 0;; ++index) {
    const std::vector<train::PackedRow> rows = packer.slot(index);
    if (rows.empty()) return list;
    list.push_back(batch(pairs, rows, [](std::uint64_t draw) { return draw; }));
  }
}

// Each pair by itself: the numbers of an answer do not depend on its company.
void PairSource::fill(Pairs& pairs, train::Trainer& trainer) const {
  for (std::uint64_t pair = 0; pair < pairs.count; ++pair) {
    const train::PackedRow row{train::PackedPiece{pair, 0, length(pairs, pair)}};
    const TokenBatch one = batch(pairs, {row}, [](std::uint64_t draw) { return draw; });
    trainer.look(one, [&](Context& ctx, const Model& model, Tensor hidden) {
      const Tensor sums = answer_log_probs(ctx, model, hidden, one);
      std::copy_n(sums.data, 2, pairs.reference.begin() + static_cast<std::ptrdiff_t>(2 * pair));
    });
  }
}

void PairSource::compute_reference(train::Trainer& trainer, const std::string& file) {
  fill(train_, trainer);
  fill(eval_, trainer);
  std::string bytes;
  for (const Pairs* pairs : {&train_, &eval_})
    bytes.append(reinterpret_cast<const char*>(pairs->reference.data()),
                 pairs->reference.size() * sizeof(float));
  write_file_atomic(file, checksum_of(bytes) + bytes);
  read_held_out();
}

void PairSource::read_reference(const std::string& file) {
  const std::string all = read_file(file, std::size_t{1} << 36);
  const std::size_t expected = (train_.reference.size() + eval_.reference.size()) * sizeof(float);
  NAUTILE_CHECK(all.size() == kChecksumBytes + expected,
                "{} has {} bytes, expected {} for {} pairs", file, all.size(),
                kChecksumBytes + expected, train_.count + eval_.count);
  NAUTILE_CHECK(all.substr(0, kChecksumBytes) == checksum_of(all.substr(kChecksumBytes)),
                "{}: the checksum is wrong", file);
  const char* from = all.data() + kChecksumBytes;
  for (Pairs* pairs : {&train_, &eval_}) {
    const std::size_t size = pairs->reference.size() * sizeof(float);
    if (size > 0) std::memcpy(pairs->reference.data(), from, size);
    from += size;
  }
  read_held_out();
}

void PairSource::read_held_out() {
  held_out_.clear();
  if (eval_.count == 0) return;
  train::HeldOut set;
  set.name = "pairs";
  set.batches = batches(eval_);
  set.tokens = static_cast<double>(eval_.count);  // what the mean is over
  held_out_.push_back(std::move(set));
}

}  // namespace nautile::align
