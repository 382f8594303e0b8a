// Every family against the dumps of transformers and of the PyTorch twin (tools/oracle).
#include "tests/oracle.h"

#include <gtest/gtest.h>

#include <cstdio>

#include "base/cpu_features_testing.h"

namespace nautile::test {
namespace {

using testing_tools::tables_to_try;

class Oracle : public testing::TestWithParam<std::string> {};

TEST_P(Oracle, F32EqualsTransformers) {
  const Dump dump(oracle_path(GetParam()) + "/dump.safetensors");
  const std::vector<float> reference = dump.floats("f32.logits");
  for (Isa isa : tables_to_try()) {
    for (MlaForm form : {MlaForm::expanded, MlaForm::absorbed}) {
      Runner runner(oracle_path(GetParam()), {isa, 2, ComputeClass::f32},
                    {.mla = form, .kv_format = Format::f32});
      const auto ours = run_fresh(runner, dump.integers("tokens"), dump.integers("starts"));
      const Distance d = measure(ours, reference, runner.model.config().vocabulary);
      std::printf("%-26s %-9s f32 %s: relative %.2g KL %.2g top-1 %.4f left out %.3f\n",
                  GetParam().c_str(), std::string(name(isa)).c_str(),
                  form == MlaForm::absorbed ? "absorbed" : "expanded", d.relative, d.kl, d.top1,
                  d.left_out);
      EXPECT_LE(d.relative, 1e-4);
      EXPECT_LE(d.kl, 1e-5);
      EXPECT_GE(d.top1, 0.999);
      if (runner.model.config().attention.kind == AttentionKind::grouped) break;
    }
  }
}

TEST_P(Oracle, ExpertChoicesEqual) {
  const Dump dump(oracle_path(GetParam()) + "/dump.safetensors");
  Runner runner(oracle_path(GetParam()), {Isa::reference, 2, ComputeClass::f32},
                {.mla = MlaForm::expanded, .kv_format = Format::f32});
  int layers = 0, left_out = 0;
  ModelWatch watch;
  watch.routing = [&](int layer, const ops::Routing& routing) {
    const std::string prefix = fmt::format("f32.router.{}.", layer);
    ASSERT_TRUE(dump.has(prefix + "experts")) << prefix;
    const auto experts = dump.integers(prefix + "experts");
    const auto weights = dump.floats(prefix + "weights"), margin = dump.floats(prefix + "margin");
    const std::size_t K = static_cast<std::size_t>(routing.per_token());
    for (std::size_t t = 0; t < margin.size(); ++t) {
      if (margin[t] <= 1e-5f) {
        ++left_out;
        continue;
      }
      for (std::size_t k = t * K; k < (t + 1) * K; ++k) {
        // Equal scores may change places inside the chosen; the set and each weight must agree.
        const auto at = std::find(experts.begin() + static_cast<std::ptrdiff_t>(t * K),
                                  experts.begin() + static_cast<std::ptrdiff_t>((t + 1) * K),
                                  routing.chosen[k]);
        ASSERT_NE(at, experts.begin() + static_cast<std::ptrdiff_t>((t + 1) * K))
            << "layer " << layer << " token " << t;
        EXPECT_NEAR(weights[static_cast<std::size_t>(at - experts.begin())],
                    routing.weights.data[k], 2e-5f * std::max(1.0f, weights[k]));
      }
    }
    ++layers;
  };
  run_fresh(runner, dump.integers("tokens"), dump.integers("starts"), watch);
  const auto& moe = runner.model.config().is_moe;
  EXPECT_EQ(layers, std::count(moe.begin(), moe.end(), true));
  if (left_out) std::printf("%s: %d rows left out\n", GetParam().c_str(), left_out);
}

TEST_P(Oracle, Bf16IsCloseToTheTwinAndToF32) {
  const Dump dump(oracle_path(GetParam()) + "/dump.safetensors");
  for (Isa isa : tables_to_try()) {
    Runner runner(oracle_path(GetParam()), {isa, 2, ComputeClass::bf16},
                  {.mla = MlaForm::expanded});
    const auto ours = run_fresh(runner, dump.integers("tokens"), dump.integers("starts"));
    const std::string twin = dump.has("bf16_wbf16.logits") ? "bf16_wbf16.logits" : "bf16.logits";
    const std::int64_t width = runner.model.config().vocabulary;
    const Distance d = measure(ours, dump.floats(twin), width),
                   e = measure(ours, dump.floats("f32.logits"), width);
    std::printf("%-26s %-9s bf16: KL to the twin %.2g, to f32 %.2g; top-1 %.4f left out %.3f\n",
                GetParam().c_str(), std::string(name(isa)).c_str(), d.kl, e.kl, d.top1, d.left_out);
    EXPECT_LE(d.kl, 1e-5);
    EXPECT_LE(e.kl, 5e-4);
    EXPECT_GE(d.top1, 0.999);
  }
}

// V3's own FP8 recipe: inputs in E4M3 per 128 channels, each slab of sums scaled in F32.
TEST_P(Oracle, Fp8DynIsCloseToTheTwin) {
  const Dump dump(oracle_path(GetParam()) + "/dump.safetensors");
  if (!dump.has("fp8dyn.logits")) return;
  for (Isa isa : tables_to_try()) {
    Runner runner(oracle_path(GetParam()), {isa, 2, ComputeClass::fp8dyn},
                  {.mla = MlaForm::expanded});
    const auto ours = run_fresh(runner, dump.integers("tokens"), dump.integers("starts"));
    const Distance d =
        measure(ours, dump.floats("fp8dyn_kvb8.logits"), runner.model.config().vocabulary);
    std::printf("%-26s %-9s fp8dyn: KL to the twin %.2g; top-1 %.4f left out %.3f\n",
                GetParam().c_str(), std::string(name(isa)).c_str(), d.kl, d.top1, d.left_out);
    EXPECT_LE(d.kl, 1e-5);
    EXPECT_GE(d.top1, 0.999);
  }
}

// The prediction module: rows of a sequence but the last, joined with the tokens one further on.
TEST_P(Oracle, PredictionModuleEqualsTheTwin) {
  const Dump dump(oracle_path(GetParam()) + "/dump.safetensors");
  if (!dump.has("f32.mtp.logits")) return;
  Runner runner(oracle_path(GetParam()), {Isa::reference, 2, ComputeClass::f32},
                {.mla = MlaForm::expanded, .kv_format = Format::f32});
  const auto tokens = dump.integers("tokens"), starts = dump.integers("starts"),
             positions = positions_of(starts);
  Context ctx{*runner.backend, runner.scratch};
  const Tensor normed =
      runner.model.final_norm(ctx, runner.model.hidden(ctx, {tokens, positions, starts, nullptr}));
  std::vector<std::int32_t> next, next_starts = {0}, next_positions;
  std::vector<float> rows;
  for (std::size_t s = 0; s + 1 < starts.size(); ++s) {
    for (std::int32_t t = starts[s]; t + 1 < starts[s + 1]; ++t) {
      next.push_back(tokens[static_cast<std::size_t>(t) + 1]);
      next_positions.push_back(t - starts[s]);
      rows.insert(rows.end(), normed.row(t), normed.row(t + 1));
    }
    next_starts.push_back(static_cast<std::int32_t>(next.size()));
  }
  const Tensor hidden{rows.data(), {static_cast<std::int64_t>(next.size()), normed.cols()}};
  const Tensor logits = ops::linear(
      ctx, runner.model.mtp_hidden(ctx, 0, hidden, {next, next_positions, next_starts, nullptr}),
      runner.model.head());
  const Distance d = measure({logits.data, logits.data + logits.elements()},
                             dump.floats("f32.mtp.logits"), runner.model.config().vocabulary);
  std::printf("%-26s MTP: relative %.2g KL %.2g\n", GetParam().c_str(), d.relative, d.kl);
  EXPECT_LE(d.relative, 1e-4);
  EXPECT_LE(d.kl, 1e-5);
}

INSTANTIATE_TEST_SUITE_P(Families, Oracle, testing::ValuesIn(oracle_cases()),
                         [](const auto& p) { return p.param; });

}  // namespace
}  // namespace nautile::test
