// A released model on real text against transformers on the same dequantized weights
// (tools/oracle/smollm2_oracle.py). The model is the program's default one; NAUTILE_TEST_MODEL
// names its file, else it is looked for in the cache folder that the program uses.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/cpu_features.h"
#include "tests/oracle.h"

namespace nautile::test {
namespace {

constexpr const char* kDump = "tests/data/smollm2_top32.safetensors";

std::string model_path() {
  if (const char* named = std::getenv("NAUTILE_TEST_MODEL")) return named;
  const char *cache = std::getenv("XDG_CACHE_HOME"), *home = std::getenv("HOME");
  const std::string base = cache ? cache : std::string(home ? home : "") + "/.cache";
  return base + "/nautile/models/SmolLM2-135M-Instruct.Q4_1.gguf";
}

struct Figures {
  double nll = 0;          // nats per predicted token
  double largest_gap = 0;  // of log-probabilities of the 32 likeliest
  double kl = 0;           // over the 32 likeliest and the rest together: at most the whole
};

Figures run(const std::string& path, const CpuOptions& cpu, const ModelOptions& options) {
  const Dump dump(kDump);
  const auto tokens = dump.integers("tokens"), starts = dump.integers("starts"),
             ids = dump.integers("top_ids");
  const auto expected = dump.floats("top_logprobs");
  Runner runner(path, cpu, options);
  Figures figures;
  std::int64_t predicted = 0;
  std::size_t row = 0;
  for (std::size_t s = 0; s + 1 < starts.size(); ++s) {
    const std::vector<std::int32_t> window(tokens.begin() + starts[s],
                                           tokens.begin() + starts[s + 1]);
    const std::int32_t length = static_cast<std::int32_t>(window.size());
    const std::vector<float> logits = run_fresh(runner, window, {0, length});
    const std::size_t W = logits.size() / window.size();
    for (std::size_t t = 0; t < window.size(); ++t, ++row) {
      const float* x = logits.data() + t * W;
      double top = -INFINITY, sum = 0;
      for (std::size_t i = 0; i < W; ++i) top = std::max(top, static_cast<double>(x[i]));
      for (std::size_t i = 0; i < W; ++i) sum += std::exp(static_cast<double>(x[i]) - top);
      const auto logprob = [&](std::int32_t id) {
        return static_cast<double>(x[id]) - top - std::log(sum);
      };
      if (t + 1 < window.size()) {
        figures.nll -= logprob(window[t + 1]);
        ++predicted;
      }
      if (row * 32 >= ids.size()) continue;
      double rest_p = 1, rest_q = 1;
      for (std::size_t k = row * 32; k < row * 32 + 32; ++k) {
        const double p = std::exp(static_cast<double>(expected[k])), q = logprob(ids[k]);
        figures.largest_gap =
            std::max(figures.largest_gap, std::abs(static_cast<double>(expected[k]) - q));
        figures.kl += p * (static_cast<double>(expected[k]) - q);
        rest_p -= p;
        rest_q -= std::exp(q);
      }
      if (rest_p > 1e-9 && rest_q > 1e-9) figures.kl += rest_p * std::log(rest_p / rest_q);
    }
  }
  figures.nll /= static_cast<double>(predicted);
  const std::size_t compared = ids.size() / 32;
  figures.kl /= static_cast<double>(compared);
  return figures;
}

TEST(SmolLM2, EqualsTransformersOnRealText) {
  const std::string path = model_path();
  if (!std::filesystem::exists(path))
    GTEST_SKIP() << "SKIPPED: no model at " << path << "; `nautile chat -p hi` fetches it";
  constexpr double kNll = 3.493915474;  // transformers in float32 (metadata of the dump)
  const Isa best = cpu_features().best();
  const Figures f32 =
      run(path, {best, 2, ComputeClass::f32}, {.context = 512, .kv_format = Format::f32});
  const Figures i8 = run(path, {best, 2, {}}, {.context = 512});
  std::printf(
      "class f32: %.6f nats (perplexity %+.4f %%), KL %.2g, largest gap of a log-probability "
      "%.2g\n",
      f32.nll, 100 * (std::exp(f32.nll - kNll) - 1), f32.kl, f32.largest_gap);
  std::printf("class i8:  %.6f nats (perplexity %+.4f %%), KL %.2g\n", i8.nll,
              100 * (std::exp(i8.nll - kNll) - 1), i8.kl);
  EXPECT_LE(f32.kl, 1e-5);
  EXPECT_LE(f32.largest_gap, 2e-3);
  EXPECT_NEAR(std::exp(f32.nll - kNll), 1, 1e-3);
  EXPECT_LE(i8.kl, 2e-3);
  EXPECT_NEAR(std::exp(i8.nll - kNll), 1, 1e-3);
}

}  // namespace
}  // namespace nautile::test
