// ops_test.cpp — every op against its formula in double: values, gradients, tables, threads, and
// blocks that are computed twice.
#include <gtest/gtest.h>

#include <cmath>
#include <memory>

#include "base/cpu_features.h"
#include "kernels/quantize.h"
#include "tests/op_cases/op_case.h"

namespace nautile::testing {
namespace {

constexpr std::uint64_t kSeed = 42;

std::unique_ptr<Backend> backend(Isa isa, int threads) {
  return make_cpu_backend({.isa = isa, .threads = threads, .compute_class = ComputeClass::f32});
}

std::vector<Isa> tables() {
  std::vector<Isa> usable;
  for (Isa isa : {Isa::reference, Isa::avx2, Isa::avx512_vnni, Isa::avx512}) {
    if (cpu_features().can(isa)) usable.push_back(isa);
  }
  return usable;
}

// A cotangent whose elements are all different.
const std::vector<float>& cotangent() {
  static const std::vector<float> numbers{0.7f, -1.1f, 0.3f, 1.9f, -0.6f, 0.2f, -1.4f};
  return numbers;
}

double largest(const Numbers& values) {
  double top = 0;
  for (double value : values) top = std::max(top, std::abs(value));
  return top;
}

// A sum of n terms in F32 is off by at most n·2^-24 of the sum of magnitudes; the inputs are of
// order 1, so magnitudes are within a small factor of the largest result times √n.
double tolerance(const OpCase& op, double scale) {
  const double n = static_cast<double>(op.terms);
  return (0x1p-24 * n * std::sqrt(n) + 0x1p-21 + op.rounding) * std::max(scale, 1.0);
}

class Ops : public ::testing::TestWithParam<std::size_t> {
 protected:
  void SetUp() override { op_ = op_cases(OpSize::small)[GetParam()]; }
  OpCase op_;
};

TEST_P(Ops, EqualsFormulaOnEveryTable) {
  for (Isa isa : tables()) {
    const auto on = backend(isa, 2);
    Arena arena(std::size_t{1} << 26);
    Context ctx{*on, arena};
    OpRun run(op_, kSeed);
    const Tensor y = run.forward(ctx);
    const Numbers expected = op_.formula(run.numbers());
    ASSERT_EQ(static_cast<std::size_t>(y.elements()), expected.size());
    const double bar = tolerance(op_, largest(expected));
    for (std::size_t i = 0; i < expected.size(); ++i)
      ASSERT_NEAR(static_cast<double>(y.data[i]), expected[i], bar)
          << name(isa) << " element " << i;
  }
}

double objective(const OpCase& op, const std::vector<Numbers>& in) {
  const Numbers y = op.formula(in);
  double sum = 0;
  for (std::size_t i = 0; i < y.size(); ++i)
    sum += y[i] * static_cast<double>(cotangent()[i % cotangent().size()]);
  return sum;
}

// Central differences in double: h = 1e-4 leaves an error of about h² in functions of order 1.
TEST_P(Ops, GradientsEqualFiniteDifferences) {
  constexpr double kStep = 1e-4;
  const auto on = backend(Isa::reference, 1);
  OpRun run(op_, kSeed);
  const OpRun::Result result = run.both(*on, cotangent());
  for (std::size_t input = 0; input < op_.inputs.size(); ++input) {
    if (op_.name.starts_with("attach_loss") && input == 1) {
      EXPECT_EQ(result.gradients[1][0], 1.0f);  // by definition; the formula does not see it
      continue;
    }
    std::vector<Numbers> in = run.numbers();
    Numbers slope(in[input].size());
    for (std::size_t j = 0; j < slope.size(); ++j) {
      const double x = in[input][j];
      in[input][j] = x + kStep;
      const double above = objective(op_, in);
      in[input][j] = x - kStep;
      slope[j] = (above - objective(op_, in)) / (2 * kStep);
      in[input][j] = x;
    }
    OpCase exact = op_;
    exact.rounding = 0;
    const double bar = tolerance(exact, largest(slope)) + 1e-6;
    for (std::size_t j = 0; j < slope.size(); ++j) {
      ASSERT_NEAR(static_cast<double>(result.gradients[input][j]), slope[j], bar)
          << op_.inputs[input].name << " element " << j;
    }
  }
}

TEST_P(Ops, GradientsAgreeOverTables) {
  OpRun run(op_, kSeed);
  const OpRun::Result expected = run.both(*backend(Isa::reference, 1), cotangent());
  for (Isa isa : tables()) {
    const OpRun::Result found = run.both(*backend(isa, 2), cotangent());
    for (std::size_t input = 0; input < op_.inputs.size(); ++input) {
      Numbers wanted(expected.gradients[input].begin(), expected.gradients[input].end());
      const double bar = tolerance(op_, largest(wanted));
      for (std::size_t j = 0; j < wanted.size(); ++j)
        ASSERT_NEAR(static_cast<double>(found.gradients[input][j]), wanted[j], bar)
            << name(isa) << ' ' << op_.inputs[input].name << " element " << j;
    }
  }
}

TEST_P(Ops, ThreadsChangeNoBit) {
  for (Isa isa : tables()) {
    OpRun run(op_, kSeed);
    const OpRun::Result one = run.both(*backend(isa, 1), cotangent());
    for (int threads : {2, 3, 4}) {
      const OpRun::Result many = run.both(*backend(isa, threads), cotangent());
      EXPECT_EQ(one.y, many.y) << name(isa);
      EXPECT_EQ(one.gradients, many.gradients) << name(isa);
    }
  }
}

// The op inside a block, once kept and once computed again: with freed memory poisoned under
// AddressSanitizer, nothing may be read from the first time. A block maps x to its like, so the
// op's result leaves as a loss.
OpCase in_block(const OpCase& op) {
  std::size_t first = 0;
  while (first < op.inputs.size() && op.inputs[first].kind != OpInput::Kind::activation) ++first;
  OpCase block = op;
  block.run = [op, first](Context& ctx, const OpArguments& a) {
    OpArguments inside = a;
    for (Tensor& value : inside.values) value.id = 0;  // constants to the block, but for `first`
    Tensor x = first < op.inputs.size() ? a.x(first) : make_tensor(ctx.scratch, {1});
    if (first == op.inputs.size()) x.data[0] = 0;
    return ops::recompute(ctx, x, [op, first, inside](Context& inner, Tensor in) {
      OpArguments arguments = inside;
      if (first < op.inputs.size()) arguments.values[first] = ops::scale(inner, in, 1);
      for (std::size_t i = 0; i < arguments.values.size(); ++i) {
        // Some ops use their inputs up; the block's own must stay for the second time.
        if (i != first && arguments.values[i].data)
          arguments.values[i] = ops::scale(inner, arguments.values[i], 1);
      }
      const Tensor y = op.run(inner, arguments);
      std::vector<float> weights(static_cast<std::size_t>(y.elements()));
      for (std::size_t i = 0; i < weights.size(); ++i)
        weights[i] = cotangent()[i % cotangent().size()];
      const Tensor weighed = make_tensor(inner.scratch, y.shape);
      std::copy(weights.begin(), weights.end(), weighed.data);
      const std::span<const float> kept{weighed.data, weights.size()};
      return ops::attach_loss(inner, in, ops::weighted_sum(inner, y, kept));
    });
  };
  return block;
}

TEST_P(Ops, RecomputeEqualsKeep) {
  const OpCase block = in_block(op_);
  for (Isa isa : tables()) {
    const auto on = backend(isa, 2);
    OpRun run(block, kSeed);
    const OpRun::Result kept = run.both(*on, cotangent(), Keep::everything);
    const OpRun::Result again = run.both(*on, cotangent(), Keep::block_inputs);
    EXPECT_EQ(kept.gradients, again.gradients) << name(isa);
    // And they are the op_'s own.
    const OpRun::Result alone = OpRun(op_, kSeed).both(*on, cotangent());
    for (std::size_t i = 0; i < op_.inputs.size(); ++i) {
      if (op_.inputs[i].kind == OpInput::Kind::parameter) {
        EXPECT_EQ(kept.gradients[i], alone.gradients[i]) << op_.inputs[i].name;
      }
    }
  }
}

// What an adapter on a quantized model needs, and no more.
TEST(QuantizedWeight, PassesGradientsOnAndIsNotTrained) {
  struct OneSum : ParamGradients {
    std::vector<float> sum = std::vector<float>(std::size_t{32 * 64});
    float* find(ParamId, std::uint32_t) override { return sum.data(); }
  } sums;
  std::vector<float> values(sums.sum.size());
  for (std::size_t i = 0; i < values.size(); ++i)
    values[i] = std::sin(static_cast<float>(i)) * 0.1f;
  const auto on = backend(Isa::reference, 1);
  for (const Format format : {Format::q8_0, Format::q4_0}) {
    const std::size_t stride = row_bytes(format, 64);
    std::vector<std::byte> bytes(32 * stride);
    for (std::size_t r = 0; r < 32; ++r)
      kernels::quantize_row(format, values.data() + 64 * r, 64, bytes.data() + r * stride);
    Weight w{.name = "w", .shape = {32, 64}, .format = format, .data = bytes.data()};
    const auto gradient_of_x = [&] {
      Arena arena(std::size_t{1} << 20);
      Tape tape(Keep::everything);
      Context ctx{*on, arena, &tape};
      Tensor x = make_tensor(arena, {1, 64}), dy = make_tensor(arena, {1, 32});
      std::fill_n(x.data, 64, 1.0f);
      std::fill_n(dy.data, 32, 1.0f);
      x = tape.name(x);
      const Tensor y = ops::linear(ctx, x, w);
      const Tensor dx = tape.backward(ctx, y, dy, sums, {x})[0];
      return std::vector<float>(dx.data, dx.data + 64);
    };
    const std::vector<float> dx = gradient_of_x();
    for (std::size_t c = 0; c < 64; ++c) {
      float expected = 0;
      for (std::size_t r = 0; r < 32; ++r) expected += values[64 * r + c];
      EXPECT_NEAR(dx[c], expected, 0.15f) << c;  // 32 weights, each off by a step of Q4_0 at most
    }
    w.param = 1;
    try {
      gradient_of_x();
      ADD_FAILURE() << "trained a weight of " << info(format).name;
    } catch (const Error& error) {
      EXPECT_NE(error.message().find("w is "), std::string::npos) << error.message();
      EXPECT_NE(error.message().find("LoRA"), std::string::npos) << error.message();
    }
  }
}

std::vector<std::string> case_names() {
  std::vector<std::string> names;
  for (const OpCase& op : op_cases(OpSize::small)) {
    std::string text;
    for (char c : op.name) text += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
    names.push_back(text + fmt::format("_{}", names.size()));
  }
  return names;
}

INSTANTIATE_TEST_SUITE_P(Cases, Ops,
                         ::testing::Range(std::size_t{0}, op_cases(OpSize::small).size()),
                         [](const auto& info) {
                           static const std::vector<std::string> names = case_names();
                           return names[info.param];
                         });

}  // namespace
}  // namespace nautile::testing
