// Muon against what it promises: nearly orthogonal updates, of the size of AdamW's.
#include "train/muon.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "base/cpu_features.h"
#include "train/run_testing.h"

namespace nautile::train {
namespace {

// Row i of Sylvester's Hadamard matrix of 64 columns, as long as `size`.
float hadamard(std::size_t i, std::size_t j, float size) {
  return (std::popcount(i & j) % 2 ? -size : size) / 8;
}

// Singular vectors stay, singular values go near 1: rows of a Hadamard matrix, each of a length of
// its own, upright and turned.
TEST(Muon, OrthogonalizesWideTallAndSquare) {
  const auto backend = make_cpu_backend(
      {.isa = cpu_features().best(), .threads = 2, .compute_class = ComputeClass::f32});
  Muon muon;
  for (const std::size_t count : {std::size_t{1}, std::size_t{24}, std::size_t{64}}) {
    for (const bool tall : {false, true}) {
      SCOPED_TRACE(fmt::format("{} x 64, {}", count, tall ? "tall" : "wide"));
      std::vector<float> x(count * 64);
      const auto at = [&](std::size_t i, std::size_t j) {
        return tall ? j * count + i : i * 64 + j;
      };
      for (std::size_t i = 0; i < count; ++i) {
        for (std::size_t j = 0; j < 64; ++j)
          x[at(i, j)] = hadamard(i, j, 0.02f * (1 + static_cast<float>(i % 7)));
      }
      const auto rows = static_cast<std::int64_t>(tall ? 64 : count);
      muon.orthogonalize(*backend, rows, static_cast<std::int64_t>(x.size()) / rows, x.data());
      for (std::size_t a = 0; a < count; ++a) {
        for (std::size_t b = 0; b <= a; ++b) {
          double dot = 0;
          for (std::size_t j = 0; j < 64; ++j)
            dot += static_cast<double>(x[at(a, j)]) * static_cast<double>(x[at(b, j)]);
          if (a == b) {
            EXPECT_GT(std::sqrt(dot), 0.65);  // as far as the five steps go (Jordan et al. 2024)
            EXPECT_LT(std::sqrt(dot), 1.25);
          } else {
            EXPECT_NEAR(dot, 0, 1e-4);
          }
        }
      }
    }
  }
}

// The first step of a matrix: root mean square 0.2·rate, AdamW's in practice (Liu et al. 2025).
TEST(Muon, UpdatesAreOfAdamWsSize) {
  const TemporaryFolder temporary("muon");
  const DataFolder data = make_tiny_data(temporary.file("data"));
  TrainerConfig config = tiny_trainer_config();
  config.precision = Precision::f32;
  config.optimizer.kind = OptimizerConfig::Kind::muon;
  config.optimizer.decay = 0;
  TinyRun run(config, 1, data);
  const std::span<float> masters = run.trainer.params().masters();
  const std::vector<float> before(masters.begin(), masters.end());
  const double rate = run.step().rates.rate;
  ASSERT_GT(rate, 0);
  int matrices = 0;
  for (const Param& p : run.trainer.params().params()) {
    if (!moves_by_muon(p)) continue;
    const std::span<const float> now = run.trainer.params().master(p);
    double squares = 0;
    for (std::size_t i = 0; i < p.count; ++i) {
      const double moved = static_cast<double>(now[i]) - static_cast<double>(before[p.offset + i]);
      squares += moved * moved;
    }
    const double rms = std::sqrt(squares / static_cast<double>(p.count));
    EXPECT_LT(rms, 0.25 * rate) << p.info.name;
    // Some experts have few tokens, so gradients of low rank.
    if (p.info.expert < 0) {
      EXPECT_GT(rms, 0.05 * rate) << p.info.name;
    }
    ++matrices;
  }
  EXPECT_GT(matrices, 20);
}

}  // namespace
}  // namespace nautile::train
