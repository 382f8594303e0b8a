// The training oracle is what its header says, and its first losses are those of the forward pass.
#include "tests/train_oracle.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/oracle.h"

namespace nautile::test {
namespace {

class TrainOracle : public testing::TestWithParam<std::string> {};

// Tensors of the checkpoint that are trained -> values in each.
std::map<std::string, std::size_t> trained(const TrainCase& c) {
  const auto file = store::SafetensorsFile::open(c.checkpoint() + "/model.safetensors");
  std::map<std::string, std::size_t> sizes;
  for (const store::TensorRecord& tensor : file.tensors()) {
    const std::string& name = tensor.name;
    const bool copy = name.starts_with("model.layers.") &&
                      (name.ends_with(".embed_tokens.weight") || name.ends_with(".head.weight"));
    if (!copy && !name.ends_with("e_score_correction_bias"))
      sizes[name] = static_cast<std::size_t>(tensor.shape.elements());
  }
  return sizes;
}

TEST_P(TrainOracle, HoldsEveryTrainedTensor) {
  const TrainCase c(GetParam());
  const auto sizes = trained(c);
  for (const bool final : {false, true}) {
    const auto names = final ? c.final_names() : c.gradient_names();
    if (names.empty()) continue;
    EXPECT_EQ(names.size(), sizes.size());
    for (const std::string& name : names) {
      ASSERT_TRUE(sizes.contains(name)) << name;
      EXPECT_EQ((final ? c.final_weights(name) : c.gradient(name)).size(), sizes.at(name)) << name;
    }
  }
}

// Targets follow from tokens and starts, the MTP module's rows from the targets.
void check_batch(const TrainBatch& b) {
  const auto size = static_cast<std::int32_t>(b.tokens.size());
  ASSERT_EQ(b.positions, positions_of(b.starts));
  ASSERT_EQ(b.targets.size(), b.tokens.size());
  ASSERT_EQ(b.weights.size(), b.tokens.size());
  ASSERT_EQ(b.rows.back(), size);
  ASSERT_EQ(b.documents.back(), size);
  std::vector<std::int32_t> with_target;
  for (std::size_t s = 0; s + 1 < b.starts.size(); ++s) {
    for (std::int32_t t = b.starts[s]; t < b.starts[s + 1]; ++t) {
      const auto i = static_cast<std::size_t>(t);
      const bool last = t + 1 == b.starts[s + 1];
      EXPECT_EQ(b.targets[i], last ? -1 : b.tokens[i + 1]);
      if (!last) with_target.push_back(t);
      if (last) {
        EXPECT_EQ(b.weights[i], 0);
      }
    }
  }
  if (b.mtp_starts.empty()) return;
  EXPECT_EQ(b.mtp_rows, with_target);
  EXPECT_EQ(b.mtp_starts.size(), b.starts.size());
  for (std::size_t i = 0; i < b.mtp_rows.size(); ++i) {
    const auto next = static_cast<std::size_t>(b.mtp_rows[i]) + 1;
    EXPECT_EQ(b.mtp_targets[i], b.targets[next]);
    EXPECT_EQ(b.mtp_weights[i], b.weights[next]);
  }
}

TEST_P(TrainOracle, BatchesAndStepsAgree) {
  const TrainCase c(GetParam());
  ASSERT_EQ(c.steps().size(), 10u);
  for (std::size_t step = 0; step < c.steps().size(); ++step) {
    const TrainStep& s = c.steps()[step];
    check_batch(c.batch(step));
    EXPECT_NEAR(s.total, s.main + c.recipe().mtp_lambda * s.mtp + s.balance, 1e-12);
    EXPECT_EQ(s.balance > 0, c.recipe().balance_alpha > 0);
    EXPECT_EQ(c.biases(step).empty(), c.recipe().bias_gamma == 0);
    // Each token of the layer's rows chooses as many experts as any other.
    const TrainBatch b = c.batch(step);
    for (const auto& [layer, load] : c.loads(step)) {
      std::int64_t chosen = 0;
      for (std::int32_t n : load) chosen += n;
      const bool mtp = layer == c.loads(step).rbegin()->first && !b.mtp_rows.empty();
      EXPECT_EQ(chosen % static_cast<std::int64_t>(mtp ? b.mtp_rows.size() : b.tokens.size()), 0);
    }
  }
}

TEST_P(TrainOracle, FirstLossIsTheForwardPass) {
  const TrainCase c(GetParam());
  const TrainBatch b = c.batch(0);
  Runner runner(c.checkpoint(), {Isa::reference, 1, ComputeClass::f32},
                {.mla = MlaForm::expanded, .kv_format = Format::f32});
  const std::vector<float> logits = run_fresh(runner, b.tokens, b.starts);
  const std::vector<float> expected = c.cross_entropy();
  const auto width = static_cast<std::size_t>(runner.model.config().vocabulary);
  ASSERT_EQ(expected.size(), b.tokens.size());
  double sum = 0, weight = 0;
  for (std::size_t t = 0; t < b.tokens.size(); ++t) {
    if (b.targets[t] < 0) continue;
    const float* row = logits.data() + t * width;
    double normalizer = 0;
    for (std::size_t w = 0; w < width; ++w) normalizer += std::exp(static_cast<double>(row[w]));
    const double loss = std::log(normalizer) - static_cast<double>(row[b.targets[t]]);
    // Logits of at most 10 that carry some ten roundings of 2^-24 each.
    EXPECT_NEAR(loss, static_cast<double>(expected[t]), 2e-5) << "token " << t;
    sum += static_cast<double>(b.weights[t]) * loss;
    weight += static_cast<double>(b.weights[t]);
  }
  EXPECT_NEAR(sum / weight, c.steps()[0].main, 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Cases, TrainOracle, testing::ValuesIn(train_cases()),
                         [](const auto& p) { return p.param; });

}  // namespace
}  // namespace nautile::test
