// Products, attention and routing: tables against the reference, and rows that do not depend on
// their company.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "backend/backend_testing.h"

namespace nautile {
namespace {

using namespace testing_tools;

std::vector<float> multiply(Backend& backend, const Matrix& w, const std::vector<float>& x,
                            std::int64_t m, ComputeClass compute) {
  std::vector<float> y(static_cast<std::size_t>(m * w.view.rows), NAN);
  const Product product{w.view, x.data(), static_cast<std::size_t>(w.view.cols),
                        m,      y.data(), static_cast<std::size_t>(w.view.rows)};
  backend.products({&product, 1}, compute);
  return y;
}

bool runs(Format format, ComputeClass compute) {
  if (compute == ComputeClass::i8) return is_quantized(format);
  if (compute == ComputeClass::fp8dyn) return format == Format::f8_e4m3;
  return format != Format::i32;
}

// |x|·|w| bounds what another order of summation can change; |w| stays below 0.5 here.
double size_of(const std::vector<float>& x, std::size_t row, std::size_t cols) {
  double sum = 0;
  for (std::size_t k = row * cols; k < (row + 1) * cols; ++k)
    sum += std::abs(static_cast<double>(x[k]));
  return sum * 0.5;
}

class Products : public testing::TestWithParam<int> {};

TEST_P(Products, TablesAgreeAndRowsStandAlone) {
  const Format format = static_cast<Format>(GetParam());
  const std::int64_t cols = is_quantized(format) ? 768 : 700, rows = 150, m = 23;
  const Matrix w = make_matrix(format, rows, cols, 7);
  const std::vector<float> x = normal(static_cast<std::size_t>(m * cols), 8);
  CpuBackend reference({Isa::reference, 1, {}});
  for (int c = 0; c < kComputeClassCount; ++c) {
    const ComputeClass compute = static_cast<ComputeClass>(c);
    if (!runs(format, compute)) continue;
    const std::vector<float> expected = multiply(reference, w, x, m, compute);
    for (const Table& table : tables()) {
      SCOPED_TRACE(fmt::format("{} {} {}", info(format).name, name(compute), table.name));
      CpuBackend one = table.backend(1);
      const std::vector<float> all = multiply(one, w, x, m, compute);
      for (std::size_t i = 0; i < all.size(); ++i) {
        if (compute == ComputeClass::f32 || compute == ComputeClass::i8) {
          ASSERT_EQ(all[i], expected[i]) << i;  // the order of sums is the table's contract
        } else {
          const double slack =
              size_of(x, i / static_cast<std::size_t>(rows), static_cast<std::size_t>(cols));
          ASSERT_NEAR(all[i], expected[i], slack * static_cast<double>(cols) * 0x1p-24) << i;
        }
      }
      for (int threads : {2, 3, 4}) {
        CpuBackend many = table.backend(threads);
        ASSERT_EQ(multiply(many, w, x, m, compute), all) << threads << " threads";
      }
      for (std::int64_t first = 0, count = 1; first + count <= m; first += count, ++count) {
        const std::vector<float> part(x.begin() + first * cols, x.begin() + (first + count) * cols);
        const std::vector<float> y = multiply(one, w, part, count, compute);
        ASSERT_TRUE(std::equal(y.begin(), y.end(), all.begin() + first * rows))
            << "rows " << first << "+" << count;
      }
    }
  }
}

TEST_P(Products, TransposedEqualsTheDefinition) {
  const Format format = static_cast<Format>(GetParam());
  const std::int64_t cols = is_quantized(format) ? 512 : 300, rows = 90, m = 7;
  const Matrix w = make_matrix(format, rows, cols, 9);
  const std::vector<float> x = normal(static_cast<std::size_t>(m * rows), 10);
  // The weights themselves: products with unit vectors in class f32.
  std::vector<float> unit(static_cast<std::size_t>(cols * cols), 0.0f);
  for (std::int64_t i = 0; i < cols; ++i) unit[static_cast<std::size_t>(i * cols + i)] = 1;
  CpuBackend reference({Isa::reference, 1, {}});
  const std::vector<float> values =
      multiply(reference, w, unit, cols, ComputeClass::f32);  // [cols, rows]
  for (const Table& table : tables()) {
    std::vector<float> first;
    for (int threads : {1, 3}) {
      CpuBackend backend = table.backend(threads);
      std::vector<float> y(static_cast<std::size_t>(m * cols), NAN);
      const Product product{w.view, x.data(), static_cast<std::size_t>(rows),
                            m,      y.data(), static_cast<std::size_t>(cols)};
      backend.products_transposed({&product, 1});
      if (first.empty()) first = y;
      EXPECT_EQ(y, first);
      for (std::int64_t i = 0; i < m; ++i) {
        for (std::int64_t c = 0; c < cols; ++c) {
          double sum = 0, size = 0;
          for (std::int64_t r = 0; r < rows; ++r) {
            const double term = static_cast<double>(x[static_cast<std::size_t>(i * rows + r)]) *
                                static_cast<double>(values[static_cast<std::size_t>(c * rows + r)]);
            sum += term;
            size += std::abs(term);
          }
          ASSERT_NEAR(y[static_cast<std::size_t>(i * cols + c)], sum,
                      size * static_cast<double>(rows) * 0x1p-24);
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, Products, testing::Range(0, kFormatCount - 1), [](const auto& p) {
  return std::string(nautile::info(static_cast<Format>(p.param)).name);
});

// Attention of queries cut into spans and pages in two ways.
TEST(Attention, EqualsTheDefinitionAndIgnoresCuttingAndThreads) {
  const int heads = 6, kv_heads = 2, dims = 40, value_dims = 24, tokens = 150;
  const std::size_t row = static_cast<std::size_t>(kv_heads * (dims + value_dims));
  const std::vector<float> q = normal(static_cast<std::size_t>(tokens * heads * dims), 1),
                           kv = normal(tokens * row, 2);
  const AttendShape shape{.query_heads = heads,
                          .kv_heads = kv_heads,
                          .key_dims = dims,
                          .value_dims = value_dims,
                          .key_format = Format::f32,
                          .value_format = Format::f32,
                          .key_head_bytes = dims * 4,
                          .value_head_bytes = value_dims * 4,
                          .scale = 0.3f};
  const std::byte* whole[] = {reinterpret_cast<const std::byte*>(kv.data())};
  // The same rows in pages of 16 tokens, out of order in memory.
  std::vector<std::vector<float>> pages;
  std::vector<const std::byte*> addresses;
  for (int first = 0; first < tokens; first += 16) {
    const std::size_t begin = static_cast<std::size_t>(first) * row,
                      end = static_cast<std::size_t>(std::min(tokens, first + 16)) * row;
    pages.emplace_back(kv.begin() + static_cast<std::ptrdiff_t>(begin),
                       kv.begin() + static_cast<std::ptrdiff_t>(end));
  }
  for (const auto& page : pages)
    addresses.push_back(reinterpret_cast<const std::byte*>(page.data()));
  const auto span = [&](const std::byte* const* at, std::int64_t page_tokens, std::int64_t first,
                        std::int64_t count) {
    KvRows keys{at, page_tokens, 0, row * 4}, values = keys;
    values.layer_offset = static_cast<std::size_t>(kv_heads * dims) * 4;
    return QuerySpan{first, count, first, keys, values};
  };
  for (const Table& table : tables()) {
    CpuBackend one = table.backend(1);
    std::vector<float> all(static_cast<std::size_t>(tokens * heads * value_dims));
    const QuerySpan everything = span(whole, tokens, 0, tokens);
    one.attend(q.data(), {&everything, 1}, shape, all.data());
    for (int t : {0, 1, 63, 64, 149}) {
      for (int h = 0; h < heads; ++h) {
        const float* query = q.data() + (t * heads + h) * dims;
        std::vector<double> p;
        double sum = 0;
        for (int j = 0; j <= t; ++j) {
          double s = 0;
          for (int d = 0; d < dims; ++d)
            s += static_cast<double>(query[d]) *
                 static_cast<double>(kv[static_cast<std::size_t>(j) * row +
                                        static_cast<std::size_t>(h / 3 * dims + d)]);
          p.push_back(std::exp(s * 0.3));
          sum += p.back();
        }
        for (int v = 0; v < value_dims; ++v) {
          double out = 0;
          for (int j = 0; j <= t; ++j)
            out += p[static_cast<std::size_t>(j)] / sum *
                   static_cast<double>(
                       kv[static_cast<std::size_t>(j) * row +
                          static_cast<std::size_t>(kv_heads * dims + h / 3 * value_dims + v)]);
          ASSERT_NEAR(all[static_cast<std::size_t>((t * heads + h) * value_dims + v)], out, 2e-5);
        }
      }
    }
    for (int threads : {1, 2, 3, 4}) {
      CpuBackend many = table.backend(threads);
      std::vector<QuerySpan> cut;
      for (std::int64_t first = 0, count = 1; first < tokens;
           first += count, count = count * 2 + 1) {
        cut.push_back(
            span(addresses.data(), 16, first, std::min<std::int64_t>(count, tokens - first)));
      }
      std::vector<float> parts(all.size());
      many.attend(q.data(), cut, shape, parts.data());
      ASSERT_EQ(parts, all) << table.name << " " << threads;
    }
  }
}

TEST(Route, GroupsBiasAndNormalization) {
  CpuBackend backend({Isa::reference, 1, {}});
  // Two groups of three; the bias lifts expert 5 and with it the second group.
  float logits[] = {2, 1, 0, -1, -1, -1};
  const float bias[] = {0, 0, 0, 0, 0.2f, 3};
  RouteRule rule{.score = RouteRule::Score::sigmoid,
                 .group_score = RouteRule::GroupScore::sum_of_top2,
                 .normalize = RouteRule::Normalize::yes,
                 .experts = 6,
                 .chosen = 2,
                 .groups = 2,
                 .chosen_groups = 1,
                 .scale = 2.5f};
  std::int32_t chosen[2];
  float weights[2];
  backend.route({logits, {1, 6}}, bias, rule, chosen, weights);
  EXPECT_EQ(chosen[0], 5);
  EXPECT_EQ(chosen[1], 4);
  EXPECT_FLOAT_EQ(weights[0], 1.25f);  // equal unbiased scores share 2.5
  rule.normalize = RouteRule::Normalize::no;
  backend.route({logits, {1, 6}}, nullptr, rule, chosen, weights);
  EXPECT_EQ(chosen[0], 0);
  EXPECT_FLOAT_EQ(weights[0], 2.5f / (1 + std::exp(-2.0f)));
}

}  // namespace
}  // namespace nautile
