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
  void SetUp() override { from = std::make_unique<TrainCase>(GetParam()); }
  std::unique_ptr<TrainCase> from;
};

TEST_P(Train, LossesAndGradientsEqualPyTorch) {
  for (Keep keep : {Keep::everything, Keep::block_inputs}) {
    Training run(*from, keep);
    const train::TokenBatch batch = token_batch(from->batch(0));
    const train::StepReport report = run.trainer->gradients_of({&batch, 1});
    const TrainStep& expected = from->steps()[0];
    EXPECT_NEAR(report.loss, expected.main, 1e-5 * expected.main);
    EXPECT_NEAR(report.mtp_loss, expected.mtp, 1e-5 * expected.main);
    EXPECT_NEAR(report.balance_loss, expected.balance, 1e-5 * expected.main);
    EXPECT_NEAR(report.grad_norm, expected.grad_norm, 1e-4 * expected.grad_norm);
    double worst = 0;
    std::size_t seen = 0;
    for (const train::Param& p : run.trainer->params().params()) {
      const std::vector<std::string> names = from->gradient_names();
      const std::string name = hf_name(p.info.name);
      if (std::find(names.begin(), names.end(), name) == names.end()) continue;
      const double d =
          distance(run.trainer->gradients().subspan(p.offset, p.count), from->gradient(name));
      EXPECT_LE(d, 1e-4) << name;
      worst = std::max(worst, d);
      ++seen;
    }
    EXPECT_EQ(seen, from->gradient_names().size());
    fmt::print("{:<12} {} gradients, worst distance {:.1e}\n", GetParam(), seen, worst);
  }
}

TEST_P(Train, TenStepsEqualPyTorch) {
  Training run(*from);
  for (std::size_t i = 0; i < from->steps().size(); ++i) {
    const train::TokenBatch batch = token_batch(from->batch(i));
    const train::StepReport report = run.trainer->step({&batch, 1});
    const TrainStep& expected = from->steps()[i];
    EXPECT_NEAR(report.loss, expected.main, 1e-4 * expected.main) << "step " << i;
    EXPECT_NEAR(report.mtp_loss, expected.mtp, 1e-4 * expected.main) << "step " << i;
    EXPECT_NEAR(report.grad_norm, expected.grad_norm, 1e-4 * expected.grad_norm) << "step " << i;
    for (const auto& [layer, load] : from->loads(i)) {
      const std::vector<std::int64_t>& found = report.sums.loads[static_cast<std::size_t>(layer)];
      ASSERT_EQ(found.size(), load.size());
      for (std::size_t e = 0; e < load.size(); ++e) EXPECT_EQ(found[e], load[e]);
    }
    for (const auto& [layer, values] : from->biases(i)) {
      for (const train::RouterBias& bias : run.trainer->params().router_biases()) {
        if (bias.layer == layer) {
          EXPECT_EQ(bias.slot->values, values) << "step " << i;
        }
      }
    }
  }
  for (const train::Param& p : run.trainer->params().params()) {
    const std::vector<std::string> names = from->final_names();
    const std::string name = hf_name(p.info.name);
    if (std::find(names.begin(), names.end(), name) == names.end()) continue;
    EXPECT_LE(distance(run.trainer->params().master(p), from->final_weights(name)), 1e-4) << name;
  }
}

// Cut into slots, the sums are the same tree for any number of threads.
TEST_P(Train, ThreadsAndKeepingChangeNoBit) {
  const train::TokenBatch batch = token_batch(from->batch(0));
  const std::vector<train::TokenBatch> slots{batch, token_batch(from->batch(1)), batch};
  Training one(*from, Keep::block_inputs, 1), three(*from, Keep::everything, 3);
  for (int i = 0; i < 2; ++i) {
    const train::StepReport a = one.trainer->step(slots), b = three.trainer->step(slots);
    EXPECT_EQ(a.loss, b.loss);
    EXPECT_EQ(a.grad_norm, b.grad_norm);
  }
  const std::span<const float> a = one.trainer->params().masters(),
                               b = three.trainer->params().masters();
  EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin()));
}

INSTANTIATE_TEST_SUITE_P(Cases, Train, ::testing::ValuesIn(train_cases()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace nautile::test
