// train_test.cpp — losses, gradients and steps of tiny models against PyTorch.
#include <gtest/gtest.h>

#include <cmath>

#include "base/cpu_features.h"
#include "model/family.h"
#include "model/loader.h"
#include "tests/train_oracle.h"
#include "train/import.h"
#include "train/trainer.h"

namespace nautile::test {
namespace {

train::TokenBatch token_batch(const TrainBatch& from) {
  train::TokenBatch batch;
  batch.tokens = from.tokens;
  batch.positions = from.positions;
  batch.documents = from.documents;
  batch.rows = from.rows;
  batch.starts = from.starts;
  batch.targets = from.targets;
  batch.loss_weight = from.weights;
  batch.targets2.assign(from.tokens.size(), train::kNoTarget);
  batch.loss_weight2.assign(from.tokens.size(), 0.0f);
  for (std::size_t i = 0; i < from.mtp_rows.size(); ++i) {
    const std::size_t row = static_cast<std::size_t>(from.mtp_rows[i]);
    batch.targets2[row] = from.mtp_targets[i];
    batch.loss_weight2[row] = from.mtp_weights[i];
  }
  return batch;
}

train::TrainerConfig trainer_config(const TrainRecipe& recipe) {
  train::TrainerConfig c;
  c.precision = train::Precision::f32;
  c.kv_format = Format::f32;
  c.optimizer = {.beta1 = recipe.beta1,
                 .beta2 = recipe.beta2,
                 .decay = recipe.weight_decay,
                 .epsilon = recipe.eps,
                 .moments = train::MomentFormat::f32,
                 .clip = recipe.clip};
  c.schedule.peak_rate = recipe.lr;
  c.schedule.mtp_lambda = {{1, recipe.mtp_lambda}};
  c.schedule.balance_alpha = {{1, recipe.balance_alpha}};
  c.schedule.bias_gamma = {{1, recipe.bias_gamma}};
  return c;
}

// A model of a case, ready for its first step.
struct Training {
  explicit Training(const TrainCase& from, Keep keep = Keep::block_inputs, int threads = 2)
      : checkpoint(Checkpoint::open(from.checkpoint())),
        backend(make_cpu_backend({.isa = cpu_features().best(),
                                  .threads = threads,
                                  .compute_class = ComputeClass::f32})) {
    train::TrainerConfig config = trainer_config(from.recipe());
    config.keep = keep;
    trainer = std::make_unique<train::Trainer>(checkpoint.config(), config, *backend,
                                               std::size_t{1} << 30);
    import_masters(checkpoint, trainer->params(), *backend);
  }
  Checkpoint checkpoint;
  std::unique_ptr<Backend> backend;
  std::unique_ptr<train::Trainer> trainer;
};

// Largest difference of two lists, relative to the L2 norm of the expected one.
double distance(std::span<const float> found, const std::vector<float>& expected) {
  double top = 0, sum = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double d = static_cast<double>(found[i]) - static_cast<double>(expected[i]);
    top += d * d;
    sum += static_cast<double>(expected[i]) * static_cast<double>(expected[i]);
  }
  return std::sqrt(top / std::max(sum, 1e-30));
}

std::string hf_name(std::string_view canonical) {
  return hf_tensor_name(canonical).value_or("?");
}

class Train : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { from_ = std::make_unique<TrainCase>(GetParam()); }
  std::unique_ptr<TrainCase> from_;
};

TEST_P(Train, LossesAndGradientsEqualPyTorch) {
  for (Keep keep : {Keep::everything, Keep::block_inputs}) {
    Training run(*from_, keep);
    const train::TokenBatch batch = token_batch(from_->batch(0));
    const train::StepReport report = run.trainer->gradients_of({&batch, 1});
    const TrainStep& expected = from_->steps()[0];
    EXPECT_NEAR(report.loss, expected.main, 1e-5 * expected.main);
    EXPECT_NEAR(report.mtp_loss, expected.mtp, 1e-5 * expected.main);
    EXPECT_NEAR(report.balance_loss, expected.balance, 1e-5 * expected.main);
    EXPECT_NEAR(report.grad_norm, expected.grad_norm, 1e-4 * expected.grad_norm);
    double worst = 0;
    std::size_t seen = 0;
    for (const train::Param& p : run.trainer->params().params()) {
      const std::vector<std::string> names = from_->gradient_names();
      const std::string name = hf_name(p.info.name);
      if (std::find(names.begin(), names.end(), name) == names.end()) continue;
      const double d =
          distance(run.trainer->gradients().subspan(p.offset, p.count), from_->gradient(name));
      EXPECT_LE(d, 1e-4) << name;
      worst = std::max(worst, d);
      ++seen;
    }
    EXPECT_EQ(seen, from_->gradient_names().size());
    fmt::print("{:<12} {} gradients, worst distance {:.1e}\n", GetParam(), seen, worst);
  }
}

TEST_P(Train, TenStepsEqualPyTorch) {
  Training run(*from_);
  for (std::size_t i = 0; i < from_->steps().size(); ++i) {
    const train::TokenBatch batch = token_batch(from_->batch(i));
    const train::StepReport report = run.trainer->step({&batch, 1});
    const TrainStep& expected = from_->steps()[i];
    EXPECT_NEAR(report.loss, expected.main, 1e-4 * expected.main) << "step " << i;
    EXPECT_NEAR(report.mtp_loss, expected.mtp, 1e-4 * expected.main) << "step " << i;
    EXPECT_NEAR(report.grad_norm, expected.grad_norm, 1e-4 * expected.grad_norm) << "step " << i;
    for (const auto& [layer, load] : from_->loads(i)) {
      const std::vector<std::int64_t>& found = report.sums.loads[static_cast<std::size_t>(layer)];
      ASSERT_EQ(found.size(), load.size());
      for (std::size_t e = 0; e < load.size(); ++e) EXPECT_EQ(found[e], load[e]);
    }
    for (const auto& [layer, values] : from_->biases(i)) {
      for (const train::RouterBias& bias : run.trainer->params().router_biases()) {
        if (bias.layer == layer) {
          EXPECT_EQ(bias.slot->values, values) << "step " << i;
        }
      }
    }
  }
  for (const train::Param& p : run.trainer->params().params()) {
    const std::vector<std::string> names = from_->final_names();
    const std::string name = hf_name(p.info.name);
    if (std::find(names.begin(), names.end(), name) == names.end()) continue;
    EXPECT_LE(distance(run.trainer->params().master(p), from_->final_weights(name)), 1e-4) << name;
  }
}

// Cut into slots, the sums are the same tree for any number of threads.
TEST_P(Train, ThreadsAndKeepingChangeNoBit) {
  const train::TokenBatch batch = token_batch(from_->batch(0));
  const std::vector<train::TokenBatch> slots{batch, token_batch(from_->batch(1)), batch};
  Training one(*from_, Keep::block_inputs, 1), three(*from_, Keep::everything, 3);
  for (int i = 0; i < 2; ++i) {
    const train::StepReport a = one.trainer->step(slots), b = three.trainer->step(slots);
    EXPECT_EQ(a.loss, b.loss);
    EXPECT_EQ(a.grad_norm, b.grad_norm);
  }
  const std::span<const float> a = one.trainer->params().masters(),
                               b = three.trainer->params().masters();
  EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin()));
}

// One batch by heart, in every precision, with each optimizer, from random weights.
struct HeartCase {
  train::Precision precision;
  train::OptimizerConfig::Kind optimizer;
};

class ByHeart : public ::testing::TestWithParam<HeartCase> {};

TEST_P(ByHeart, LossFallsBelow) {
  const TrainCase from("v3_all");
  train::TrainerConfig config = trainer_config(from.recipe());
  config.precision = GetParam().precision;
  config.optimizer.kind = GetParam().optimizer;
  config.optimizer.moments = train::MomentFormat::bf16;
  config.optimizer.decay = 0;
  config.kv_format = config.precision == train::Precision::f32 ? Format::f32 : Format::bf16;
  config.schedule.peak_rate = 1e-2;
  const auto compute = config.precision == train::Precision::f32    ? ComputeClass::f32
                       : config.precision == train::Precision::bf16 ? ComputeClass::bf16
                                                                    : ComputeClass::fp8dyn;
  const auto backend =
      make_cpu_backend({.isa = cpu_features().best(), .threads = 2, .compute_class = compute});
  const Checkpoint checkpoint = Checkpoint::open(from.checkpoint());
  train::Trainer trainer(checkpoint.config(), config, *backend, std::size_t{1} << 30);
  trainer.params().initialize(7, 0.05);
  trainer.refresh();
  const train::TokenBatch batch = token_batch(from.batch(0));
  train::StepReport report;
  for (int i = 0; i < 250; ++i) report = trainer.step({&batch, 1});
  // Random weights give ln 96 = 4.6 nats and more; spans that begin alike cannot be told apart, so
  // 0 is out of reach.
  EXPECT_LT(report.loss, 0.1);
  EXPECT_LT(report.mtp_loss, 0.2);
  fmt::print("loss {:.4f}, MTP {:.4f}\n", report.loss, report.mtp_loss);
}

INSTANTIATE_TEST_SUITE_P(
    Precisions, ByHeart,
    ::testing::Values(HeartCase{train::Precision::f32, train::OptimizerConfig::Kind::adamw},
                      HeartCase{train::Precision::bf16, train::OptimizerConfig::Kind::adamw},
                      HeartCase{train::Precision::fp8, train::OptimizerConfig::Kind::adamw},
                      HeartCase{train::Precision::bf16, train::OptimizerConfig::Kind::muon}));

INSTANTIATE_TEST_SUITE_P(Cases, Train, ::testing::ValuesIn(train_cases()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace nautile::test
