// Gradients of products against plain loops in double over the operands as the class rounds them.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "backend/backend_testing.h"

namespace nautile {
namespace {

using namespace testing_tools;
using Write = GradientBackend::Write;

const kernels::Kernels& reference() {
  return kernels::table(Isa::reference);
}

// A row of an operand as it enters the product; tiles of 128 for fp8dyn.
std::vector<double> rounded(const std::vector<float>& row, ComputeClass compute) {
  std::vector<double> values(row.begin(), row.end());
  const int n = static_cast<int>(row.size());
  if (compute == ComputeClass::bf16) {
    for (std::size_t i = 0; i < row.size(); ++i)
      values[i] = static_cast<double>(to_float(to_bf16(row[i])));
  } else if (compute == ComputeClass::fp8dyn) {
    std::vector<bf16> q(row.size() + 1);
    std::vector<float> scale(row.size() / 128 + 1);
    reference().panels.pack_f8(row.data(), n, kernels::F8Scale::any, kernels::kF8LeastGradient,
                               q.data(), scale.data());
    for (std::size_t i = 0; i < row.size(); ++i)
      values[i] = static_cast<double>(to_float(q[i])) * static_cast<double>(scale[i / 128]);
  }
  return values;
}

// A matrix's values in double [rows, cols] as class `compute` sees them.
std::vector<double> values_of(const MatrixView& w, ComputeClass compute) {
  std::vector<double> values;
  std::vector<float> row(static_cast<std::size_t>(w.cols));
  for (std::int64_t r = 0; r < w.rows; ++r) {
    const std::byte* bytes = w.data + static_cast<std::size_t>(r) * w.row_stride;
    reference().format(w.format).f32(bytes, static_cast<int>(w.cols), row.data());
    for (std::int64_t c = 0; c < w.cols; ++c) {
      float scale = 1;
      const std::int64_t block = (w.first_row + r) / 128 * ((w.cols + 127) / 128) + c / 128;
      if (w.scales) std::memcpy(&scale, w.scales + 4 * block, 4);
      const float value = row[static_cast<std::size_t>(c)];
      values.push_back(compute == ComputeClass::fp8dyn
                           ? static_cast<double>(value) * static_cast<double>(scale)
                           : rounded({value * scale}, compute)[0]);
    }
  }
  return values;
}

struct Expected {
  std::vector<double> y, size;  // sums, and sums of magnitudes
};

// y [m, cols] = x [m, rows]·w
Expected product(const std::vector<float>& x, const MatrixView& w, std::int64_t m,
                 ComputeClass compute) {
  const std::vector<double> weights = values_of(w, compute);
  const std::size_t rows = static_cast<std::size_t>(w.rows),
                    cols = static_cast<std::size_t>(w.cols);
  Expected e{std::vector<double>(static_cast<std::size_t>(m) * cols),
             std::vector<double>(static_cast<std::size_t>(m) * cols)};
  for (std::size_t i = 0; i < static_cast<std::size_t>(m); ++i) {
    const auto begin = x.begin() + static_cast<std::ptrdiff_t>(i * rows);
    const std::vector<double> input =
        rounded({begin, begin + static_cast<std::ptrdiff_t>(rows)}, compute);
    for (std::size_t r = 0; r < rows; ++r) {
      for (std::size_t c = 0; c < cols; ++c) {
        const double term = input[r] * weights[r * cols + c];
        e.y[i * cols + c] += term;
        e.size[i * cols + c] += std::abs(term);
      }
    }
  }
  return e;
}

// Every sum of n numbers in F32 is within n roundings of its magnitude; the class's own steps
// (pairs, scales) stay inside twice that.
void expect_near(const std::vector<float>& found, const Expected& e, std::int64_t n,
                 const std::vector<float>& before) {
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double start = before.empty() ? 0 : static_cast<double>(before[i]);
    const double slack =
        (e.size[i] + std::abs(start)) * static_cast<double>(n + 4) * 0x1p-23 + 1e-30;
    ASSERT_NEAR(found[i], start + e.y[i], slack) << i;
  }
}

std::vector<float> input_gradient(CpuBackend& backend, const MatrixView& w,
                                  const std::vector<float>& x, std::int64_t m, ComputeClass compute,
                                  Write write, std::vector<float> y) {
  const Product p{w,      x.data(), static_cast<std::size_t>(w.rows),
                  m,      y.data(), static_cast<std::size_t>(w.cols),
                  nullptr};
  backend.gradients().input_gradients({&p, 1}, write, compute);
  return y;
}

bool runs(Format format, ComputeClass compute) {
  if (compute == ComputeClass::i8) return false;
  return compute != ComputeClass::fp8dyn || format == Format::f8_e4m3;
}

class InputGradients : public testing::TestWithParam<int> {};

TEST_P(InputGradients, EqualTheDefinition) {
  const Format format = static_cast<Format>(GetParam());
  const std::int64_t cols = is_quantized(format) ? 512 : 331, rows = 301;
  const Matrix w = make_matrix(format, rows, cols, 3);
  for (int c = 0; c < kComputeClassCount; ++c) {
    const ComputeClass compute = static_cast<ComputeClass>(c);
    if (!runs(format, compute)) continue;
    for (const std::int64_t m : {1, 17, 261}) {
      if (m > 17 && is_quantized(format)) continue;
      const std::vector<float> x = normal(static_cast<std::size_t>(m * rows), 4);
      const std::vector<float> before = normal(static_cast<std::size_t>(m * cols), 5);
      const Expected expected = product(x, w.view, m, compute);
      for (const Table& table : tables()) {
        SCOPED_TRACE(fmt::format("{} {} {} m {}", info(format).name, name(compute), table.name, m));
        CpuBackend one = table.backend(1);
        const std::vector<float> y =
            input_gradient(one, w.view, x, m, compute, Write::replace, before);
        expect_near(y, expected, rows, {});
        const std::vector<float> sum =
            input_gradient(one, w.view, x, m, compute, Write::add, before);
        expect_near(sum, expected, rows, before);
        for (int threads : {2, 3, 4}) {
          CpuBackend many = table.backend(threads);
          ASSERT_EQ(input_gradient(many, w.view, x, m, compute, Write::add, before), sum);
        }
        // A row stands alone.
        const std::vector<float> last(x.end() - rows, x.end());
        const std::vector<float> alone =
            input_gradient(one, w.view, last, 1, compute, Write::replace,
                           std::vector<float>(static_cast<std::size_t>(cols)));
        ASSERT_TRUE(std::equal(alone.begin(), alone.end(), y.end() - cols));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, InputGradients, testing::Range(0, kFormatCount - 1),
                         [](const auto& p) {
                           return std::string(nautile::info(static_cast<Format>(p.param)).name);
                         });

// Slices of F8 weights begin inside a block of scales; sums longer than the kept panels.
TEST(InputGradient, SlicesAndLongSums) {
  for (const Format format : {Format::f32, Format::bf16, Format::f8_e4m3}) {
    const Matrix w = make_matrix(format, 2200, 70, 6);
    for (const auto& [first, count] :
         {std::pair<std::int64_t, std::int64_t>{100, 2100}, {100, 20}, {37, 200}, {0, 0}}) {
      const MatrixView slice = w.view.slice(first, count);
      const std::int64_t m = 300;
      const std::vector<float> x = normal(static_cast<std::size_t>(m * count), 7);
      for (const ComputeClass compute :
           {ComputeClass::f32, ComputeClass::bf16, ComputeClass::fp8dyn}) {
        if (!runs(format, compute)) continue;
        Expected expected = product(x, slice, m, compute);
        if (compute == ComputeClass::fp8dyn && first % 128 != 0) {
          // The gradient's tiles are cut where the weight's scales are.
          const std::int64_t head = std::min(count, 128 - first % 128);
          std::vector<float> parts[2];
          for (std::int64_t i = 0; i < m; ++i) {
            const auto row = x.begin() + i * count;
            parts[0].insert(parts[0].end(), row, row + head);
            parts[1].insert(parts[1].end(), row + head, row + count);
          }
          expected = product(parts[0], slice.slice(0, head), m, compute);
          const Expected rest = product(parts[1], slice.slice(head, count - head), m, compute);
          for (std::size_t i = 0; i < rest.y.size(); ++i) {
            expected.y[i] += rest.y[i];
            expected.size[i] += rest.size[i];
          }
        }
        for (const Table& table : tables()) {
          SCOPED_TRACE(fmt::format("{} {} {} {}+{}", info(format).name, name(compute), table.name,
                                   first, count));
          CpuBackend backend = table.backend(2);
          const std::vector<float> y =
              input_gradient(backend, slice, x, m, compute, Write::replace,
                             std::vector<float>(static_cast<std::size_t>(m * 70), NAN));
          expect_near(y, expected, count, {});
        }
      }
    }
  }
}

// Gradients are as small as batches are large: a power of two smaller, and all else is the same.
TEST(InputGradient, HasNoLeastSize) {
  const Matrix w = make_matrix(Format::f8_e4m3, 301, 200, 6);
  const std::int64_t m = 40;
  std::vector<float> x = normal(static_cast<std::size_t>(m * 301), 7);
  const std::vector<float> y(static_cast<std::size_t>(m * 200));
  for (const Table& table : tables()) {
    SCOPED_TRACE(table.name);
    CpuBackend backend = table.backend(1);
    std::vector<float> expected =
        input_gradient(backend, w.view, x, m, ComputeClass::fp8dyn, Write::replace, y);
    for (float& value : expected) value *= 0x1p-60f;
    std::vector<float> small = x;
    for (float& value : small) value *= 0x1p-60f;
    EXPECT_EQ(input_gradient(backend, w.view, small, m, ComputeClass::fp8dyn, Write::replace, y),
              expected);
    EXPECT_EQ(input_gradient(backend, w.view, std::vector<float>(x.size()), m, ComputeClass::fp8dyn,
                             Write::replace, y),
              y);
  }
}

struct Outer {
  std::int64_t m, out, in;
};

std::vector<float> weight_gradient(CpuBackend& backend, const Outer& o, const float* dy,
                                   const float* x, ComputeClass compute, std::vector<float> dw) {
  const std::size_t out = static_cast<std::size_t>(o.out), in = static_cast<std::size_t>(o.in);
  const OuterProduct p{dy, out + 3, x, in + 1, o.m, o.out, o.in, dw.data(), in};
  backend.gradients().weight_gradients({&p, 1}, compute);
  return dw;
}

// dw [out, in] = dyᵀ·x from strided rows; tiles of fp8dyn are 128 rows of one column.
Expected outer(const Outer& o, const std::vector<float>& dy, const std::vector<float>& x,
               ComputeClass compute) {
  const std::size_t m = static_cast<std::size_t>(o.m), out = static_cast<std::size_t>(o.out),
                    in = static_cast<std::size_t>(o.in);
  const auto columns = [&](const std::vector<float>& rows, std::size_t stride, std::size_t count) {
    std::vector<std::vector<double>> all;
    for (std::size_t c = 0; c < count; ++c) {
      std::vector<float> column;
      for (std::size_t t = 0; t < m; ++t) column.push_back(rows[t * stride + c]);
      all.push_back(rounded(column, compute));
    }
    return all;
  };
  const auto left = columns(dy, out + 3, out), right = columns(x, in + 1, in);
  Expected e{std::vector<double>(out * in), std::vector<double>(out * in)};
  for (std::size_t i = 0; i < out; ++i) {
    for (std::size_t j = 0; j < in; ++j) {
      for (std::size_t t = 0; t < m; ++t) {
        const double term = left[i][t] * right[j][t];
        e.y[i * in + j] += term;
        e.size[i * in + j] += std::abs(term);
      }
    }
  }
  return e;
}

TEST(WeightGradient, EqualsTheDefinitionOnAnyThreads) {
  for (const Outer& o : {Outer{0, 5, 7}, Outer{1, 37, 70}, Outer{17, 37, 70}, Outer{300, 271, 19},
                         Outer{4097, 37, 70}}) {
    const std::vector<float> dy = normal(static_cast<std::size_t>((o.m + 1) * (o.out + 3)), 1),
                             x = normal(static_cast<std::size_t>((o.m + 1) * (o.in + 1)), 2),
                             before = normal(static_cast<std::size_t>(o.out * o.in), 3);
    for (const ComputeClass compute :
         {ComputeClass::f32, ComputeClass::bf16, ComputeClass::fp8dyn}) {
      const Expected expected = outer(o, dy, x, compute);
      for (const Table& table : tables()) {
        SCOPED_TRACE(fmt::format("{} {} m {}", name(compute), table.name, o.m));
        CpuBackend one = table.backend(1);
        const std::vector<float> dw = weight_gradient(one, o, dy.data(), x.data(), compute, before);
        expect_near(dw, expected, o.m, before);
        for (int threads : {2, 3, 4}) {
          CpuBackend many = table.backend(threads);
          ASSERT_EQ(weight_gradient(many, o, dy.data(), x.data(), compute, before), dw);
        }
      }
    }
  }
}

TEST(WeightGradient, HasNoLeastSize) {
  const Outer o{300, 40, 50};
  std::vector<float> dy = normal(static_cast<std::size_t>(301 * (o.out + 3)), 1);
  const std::vector<float> x = normal(static_cast<std::size_t>(301 * (o.in + 1)), 2),
                           none(static_cast<std::size_t>(o.out * o.in));
  for (const Table& table : tables()) {
    SCOPED_TRACE(table.name);
    CpuBackend backend = table.backend(1);
    std::vector<float> expected =
        weight_gradient(backend, o, dy.data(), x.data(), ComputeClass::fp8dyn, none);
    for (float& value : expected) value *= 0x1p-60f;
    std::vector<float> small = dy;
    for (float& value : small) value *= 0x1p-60f;
    EXPECT_EQ(weight_gradient(backend, o, small.data(), x.data(), ComputeClass::fp8dyn, none),
              expected);
  }
}

// Rows of one tensor, cut among experts: each gets the bits it would get alone and elsewhere.
TEST(WeightGradient, AnExpertsSliceDoesNotSeeTheOthers) {
  const std::size_t in = 40, out = 24;
  const std::int64_t bounds[] = {0, 130, 130, 131, 2500};
  const std::vector<float> dy = normal(2500 * out, 4), x = normal(2500 * in, 5);
  for (const Table& table : tables()) {
    for (const ComputeClass compute :
         {ComputeClass::f32, ComputeClass::bf16, ComputeClass::fp8dyn}) {
      CpuBackend backend = table.backend(2);
      std::vector<std::vector<float>> together(8, std::vector<float>(out * in));
      std::vector<OuterProduct> list;
      for (std::size_t e = 0; e < 4; ++e) {
        const std::size_t first = static_cast<std::size_t>(bounds[e]);
        const OuterProduct p{dy.data() + first * out,
                             out,
                             x.data() + first * in,
                             in,
                             bounds[e + 1] - bounds[e],
                             24,
                             40,
                             together[e].data(),
                             in};
        list.push_back(p);
        // Two weights that share x, as gate and up do.
        list.push_back(p);
        list.back().out = 8;
        list.back().dw = together[4 + e].data();
      }
      backend.gradients().weight_gradients(list, compute);
      for (std::size_t e = 0; e < 4; ++e) {
        const std::size_t first = static_cast<std::size_t>(bounds[e]),
                          end = static_cast<std::size_t>(bounds[e + 1]);
        const auto cut = [&](const std::vector<float>& rows, std::size_t width) {
          std::vector<float> part(3);  // elsewhere
          part.insert(part.end(), rows.begin() + static_cast<std::ptrdiff_t>(first * width),
                      rows.begin() + static_cast<std::ptrdiff_t>(end * width));
          return part;
        };
        const std::vector<float> a = cut(dy, out), b = cut(x, in);
        std::vector<float> alone(out * in);
        const OuterProduct p{a.data() + 3, out, b.data() + 3, in, bounds[e + 1] - bounds[e],
                             24,           40,  alone.data(), in};
        backend.gradients().weight_gradients({&p, 1}, compute);
        ASSERT_EQ(alone, together[e]) << table.name << " " << name(compute) << " expert " << e;
        ASSERT_TRUE(std::equal(alone.begin(), alone.begin() + 8 * in, together[4 + e].begin()));
      }
    }
  }
}

}  // namespace
}  // namespace nautile
