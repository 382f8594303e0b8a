// Trainer: what goes beside the steps that tests/train_test.cpp holds against PyTorch.
#include "train/trainer.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "train/run_testing.h"

namespace nautile::train {
namespace {

// The mean of one step is that step's; later ones are drawn towards it at a growing decay.
TEST(Trainer, MeanOfWeightsBeginsWithTheFirst) {
  const TemporaryFolder temporary("mean");
  const DataFolder data = make_tiny_data(temporary.file("data"));
  TrainerConfig config = tiny_trainer_config();
  config.precision = Precision::f32;
  config.ema_decay = 0.3;
  TinyRun run(config, 1, data);
  std::vector<double> mean;
  for (int step = 1; step <= 6; ++step) {
    run.step();
    const std::span<const float> masters = run.trainer.params().masters();
    const double decay = std::min(0.3, (step - 1.0) / (step + 8.0));
    if (mean.empty()) mean.assign(masters.size(), 0);
    for (std::size_t i = 0; i < mean.size(); ++i)
      mean[i] = decay * mean[i] + (1 - decay) * static_cast<double>(masters[i]);
    const std::span<const float> found = run.trainer.ema();
    ASSERT_EQ(found.size(), mean.size());
    for (std::size_t i = 0; i < mean.size(); ++i)
      ASSERT_NEAR(found[i], mean[i], 1e-6 * (1 + std::abs(mean[i]))) << step;
  }
}

}  // namespace
}  // namespace nautile::train
