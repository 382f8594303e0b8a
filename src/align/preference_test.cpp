// preference_test.cpp — DPO's loss against its formula in double, and the pairs that it reads.
#include "align/preference.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "train/run_testing.h"

namespace nautile::align {
namespace {

using train::TokenBatch;

// Pairs of answers to a prompt of three tokens, in one shard.
train::DataFolder make_pairs(const std::string& folder, std::uint64_t pairs) {
  std::filesystem::create_directories(folder);
  constexpr train::Vocabulary kVocabulary = {42, 200};
  train::ShardWriter writer(folder + "/pairs", kVocabulary);
  for (std::uint64_t d = 0; d < 2 * pairs; ++d) {
    const auto random = philox(11, d, 2);
    std::vector<std::int32_t> tokens(5 + random[0] % 6);
    for (std::size_t k = 0; k < tokens.size(); ++k)
      tokens[k] = static_cast<std::int32_t>(2 + (random[1] + 7 * k) % 190);
    const train::TokenRun run{3, static_cast<std::uint32_t>(tokens.size())};
    writer.add(tokens, 0, train::DocumentKind::chat, {&run, 1});
  }
  writer.finish();
  train::DataFolder data;
  data.path = folder;
  data.vocabulary = kVocabulary;
  data.sources.resize(1);
  data.sources[0].name = "chats";
  data.sources[0].train.emplace_back(folder + "/pairs");
  return data;
}

struct Tuned {
  explicit Tuned(const PreferenceConfig& config)
      : data(make_pairs(folder.file("data"), 9)),
        backend(make_cpu_backend(
            {.isa = cpu_features().best(), .threads = 2, .compute_class = ComputeClass::f32})),
        model(family_of_hf("deepseek_v3").from_hf(train::tiny_v3_config())) {
    train::TrainerConfig c = train::tiny_trainer_config();
    c.precision = train::Precision::f32;
    c.kv_format = Format::f32;
    c.ema_decay = 0;
    c.schedule.mtp_lambda = c.schedule.bias_gamma = c.schedule.balance_alpha = {};
    c.main = preference_loss(config);
    trainer = std::make_unique<train::Trainer>(model, c, *backend, std::size_t{64} << 20);
    trainer->params().initialize(3, 0.05);
    trainer->refresh();
    train::DatasetOptions options;
    options.seed = 5;
    options.seq_len = 32;
    options.slot_rows = 2;
    pairs = std::make_unique<PairSource>(data, options);
  }
  // Log-probabilities of a slot's answers, their tokens one by one, by the model as it is.
  std::vector<double> log_probs(const TokenBatch& slot) {
    std::vector<double> sums;
    trainer->look(slot, [&](Context& ctx, const Model& m, Tensor hidden) {
      const Tensor logits = ops::linear(ctx, hidden, m.head());
      for (std::size_t d = 0; d + 1 < slot.documents.size(); ++d) {
        double sum = 0;
        for (std::int32_t t = slot.documents[d]; t < slot.documents[d + 1]; ++t) {
          const std::int32_t target = slot.targets[static_cast<std::size_t>(t)];
          if (target < 0) continue;
          double total = 0;
          for (std::int64_t w = 0; w < logits.cols(); ++w)
            total += std::exp(static_cast<double>(logits.row(t)[w]));
          sum += static_cast<double>(logits.row(t)[target]) - std::log(total);
        }
        sums.push_back(sum);
      }
    });
    return sums;
  }

  train::TemporaryFolder folder{"preference"};
  train::DataFolder data;
  std::unique_ptr<Backend> backend;
  ModelConfig model;
  std::unique_ptr<train::Trainer> trainer;
  std::unique_ptr<PairSource> pairs;
};

double log_sigmoid(double x) {
  return -std::log1p(std::exp(-x));
}

double formula(const PreferenceConfig& c, const std::vector<double>& policy,
               const std::vector<float>& reference) {
  double sum = 0;
  for (std::size_t p = 0; p < policy.size(); p += 2) {
    const double z = c.beta * ((policy[p] - static_cast<double>(reference[p])) -
                               (policy[p + 1] - static_cast<double>(reference[p + 1])));
    sum -= (1 - c.smoothing) * log_sigmoid(z) + c.smoothing * log_sigmoid(-z);
  }
  return sum / (static_cast<double>(policy.size()) / 2);
}

TEST(Preference, BeginsAtLogTwo) {
  Tuned tuned({.beta = 0.3});
  tuned.pairs->compute_reference(*tuned.trainer, tuned.folder.file("reference"));
  const TokenBatch slot = tuned.pairs->slot(0);
  const train::StepReport report = tuned.trainer->gradients_of({&slot, 1});
  // A row's numbers do not depend on its company: the difference is 0 to the bit.
  EXPECT_EQ(static_cast<float>(report.loss), static_cast<float>(std::log(2.0)));
  EXPECT_EQ(report.sums.more.at("rewards/margins"), 0);
  EXPECT_GT(report.grad_norm, 0);
}

TEST(Preference, LossAndGradientFollowTheFormula) {
  const PreferenceConfig config{.beta = 0.5, .smoothing = 0.1};
  Tuned tuned(config);
  tuned.pairs->compute_reference(*tuned.trainer, tuned.folder.file("reference"));
  for (std::int64_t i = 0; i < 6; ++i) {  // away from the reference
    const TokenBatch slot = tuned.pairs->slot(i);
    tuned.trainer->step({&slot, 1});
  }
  const TokenBatch slot = tuned.pairs->slot(7);
  const auto loss = [&] { return formula(config, tuned.log_probs(slot), slot.reference); };
  const train::StepReport report = tuned.trainer->gradients_of({&slot, 1});
  // Sums of some ten logits' F32 products of 160 terms each: 2^-24·160 relative.
  EXPECT_NEAR(report.loss, loss(), 1e-4);
  EXPECT_GT(report.sums.more.at("rewards/margins"), 0);
  EXPECT_EQ(report.sums.weight, static_cast<double>(slot.reference.size()) / 2);

  // Central differences along the gradient itself: d loss = |g|·step. The loss is F32 through 30
  // products, so its error over the step is 1e-5 at a step of 1e-3; a step ten times as long makes
  // a router choose otherwise.
  const std::vector<float> gradient(tuned.trainer->gradients().begin(),
                                    tuned.trainer->gradients().end());
  const std::vector<float> masters(tuned.trainer->params().masters().begin(),
                                   tuned.trainer->params().masters().end());
  const auto at = [&](double step) {
    for (std::size_t i = 0; i < masters.size(); ++i) {
      tuned.trainer->params().masters()[i] =
          static_cast<float>(static_cast<double>(masters[i]) +
                             step * static_cast<double>(gradient[i]) / report.grad_norm);
    }
    tuned.trainer->refresh();
    return loss();
  };
  constexpr double kStep = 1e-3;
  EXPECT_NEAR((at(kStep) - at(-kStep)) / (2 * kStep), report.grad_norm, 0.02 * report.grad_norm);
}

TEST(Preference, ReferenceIsReadBack) {
  Tuned tuned({});
  const std::string file = tuned.folder.file("reference");
  tuned.pairs->compute_reference(*tuned.trainer, file);
  train::DatasetOptions options;
  options.seed = 5;
  options.seq_len = 32;
  options.slot_rows = 2;
  PairSource again(tuned.data, options);
  again.read_reference(file);
  EXPECT_EQ(again.slot(3).reference, tuned.pairs->slot(3).reference);
  EXPECT_EQ(again.slot(3).tokens, tuned.pairs->slot(3).tokens);
  const train::DataFolder fewer = make_pairs(tuned.folder.file("fewer"), 4);
  PairSource other(fewer, options);
  EXPECT_THROW(other.read_reference(file), Error);
}

TEST(Preference, EveryPairComesOnceAnEpoch) {
  Tuned tuned({});
  std::multiset<std::vector<std::int32_t>> seen;
  for (std::int64_t index = 0; seen.size() < 9; ++index) {
    const TokenBatch slot = tuned.pairs->slot(index);
    for (std::size_t d = 0; d + 1 < slot.documents.size(); d += 2) {
      seen.emplace(slot.tokens.begin() + slot.documents[d],
                   slot.tokens.begin() + slot.documents[d + 1]);
    }
  }
  EXPECT_GE(std::set<std::vector<std::int32_t>>(seen.begin(), seen.end()).size(), 8u);
}

}  // namespace
}  // namespace nautile::align
