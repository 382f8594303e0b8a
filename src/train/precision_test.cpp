// precision_test.cpp — what bf16 and fp8 training change: little, and as much as they should.
#include <gtest/gtest.h>

#include <cmath>

#include "train/run_testing.h"

namespace nautile::train {
namespace {

class PrecisionTest : public ::testing::Test {
 protected:
  PrecisionTest() : temporary_("precision"), data_(make_tiny_data(temporary_.file("data"))) {}

  TinyRun run(Precision precision) {
    TrainerConfig config = tiny_trainer_config();
    config.precision = precision;
    return TinyRun(config, 1, data_, model_);
  }

  TemporaryFolder temporary_;
  DataFolder data_;
  nlohmann::json model_ = tiny_v3_config();
};

// ‖g − f‖ / ‖f‖ over the gradients of one parameter.
double distance(std::span<const float> found, std::span<const float> expected) {
  double top = 0, sum = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double f = static_cast<double>(expected[i]), d = static_cast<double>(found[i]) - f;
    top += d * d;
    sum += f * f;
  }
  return sum > 0 ? std::sqrt(top / sum) : 0;
}

// Rounding to nearest with p bits of fraction errs by 0.36·2^-p of a number in the root mean square
// over a binade. A gradient here is a chain of about twelve products of two rounded operands each;
// their errors are independent and add as √24·0.36·2^-p ≈ 1.8·2^-p of the whole: 1.4 % in bf16
// (p = 7), 22 % in fp8 (p = 3). Twice that is allowed to any one parameter. Every expert is chosen,
// or a choice that hangs on the rounding would give experts other tokens' gradients.
TEST_F(PrecisionTest, GradientsAreNearThoseOfF32) {
  model_["num_experts_per_tok"] = model_["n_routed_experts"];
  model_["n_group"] = model_["topk_group"] = 1;
  TinyRun exact = run(Precision::f32);
  const std::vector<TokenBatch> slots{exact.dataset.slot(0), exact.dataset.slot(1)};
  const StepReport reference = exact.trainer.gradients_of(slots);
  for (const auto& [precision, bar] :
       {std::pair(Precision::bf16, 0.014), std::pair(Precision::fp8, 0.22)}) {
    TinyRun other = run(precision);
    const StepReport report = other.trainer.gradients_of(slots);
    EXPECT_NEAR(report.loss, reference.loss, bar * 0.1 * reference.loss);
    EXPECT_NEAR(report.mtp_loss, reference.mtp_loss, bar * 0.1 * reference.mtp_loss);
    EXPECT_NEAR(report.grad_norm, reference.grad_norm, bar * reference.grad_norm);
    double worst = 0;
    std::string name;
    for (const Param& p : exact.trainer.params().params()) {
      const double d = distance(other.trainer.gradients().subspan(p.offset, p.count),
                                exact.trainer.gradients().subspan(p.offset, p.count));
      EXPECT_LE(d, 2 * bar) << p.info.name;
      if (d > worst) {
        worst = d;
        name = p.info.name;
      }
    }
    fmt::print("{}: worst distance {:.4f} of {}; all: {:.4f}; loss {} for {}\n",
               precision == Precision::fp8 ? "fp8" : "bf16", worst, name,
               distance(other.trainer.gradients(), exact.trainer.gradients()), report.loss,
               reference.loss);
  }
}

// The same task is learnt in all three.
TEST_F(PrecisionTest, LossesFallAlike) {
  constexpr int kSteps = 40;
  double f32 = 0;
  for (const Precision precision : {Precision::f32, Precision::bf16, Precision::fp8}) {
    TinyRun r = run(precision);
    double first = 0, last = 0;
    for (int i = 0; i < kSteps; ++i) {
      const double loss = r.step().loss;
      if (i == 0) first = loss;
      if (i >= kSteps - 8) last += loss / 8;
    }
    fmt::print("{}: {:.4f} to {:.4f}\n", static_cast<int>(precision), first, last);
    if (precision == Precision::f32) f32 = last;
    EXPECT_LT(last, 0.95 * first);
    EXPECT_NEAR(last, f32, 0.02 * f32);
  }
}

}  // namespace
}  // namespace nautile::train
