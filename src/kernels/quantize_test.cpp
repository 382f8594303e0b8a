// quantize_test.cpp — quantizing: against foreign implementations, error bounds, odd input.
#include "kernels/quantize.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "base/f8.h"
#include "kernels/formats_testing.h"

namespace nautile::kernels {
namespace {

const Kernels& reference() {
  return table(Isa::reference);
}

std::vector<float> there_and_back(Format format, const std::vector<float>& x) {
  std::vector<std::byte> bytes(row_bytes(format, x.size()));
  quantize_row(format, x.data(), static_cast<int>(x.size()), bytes.data());
  return testing::unpacked(reference(), format, bytes.data(), static_cast<int>(x.size()));
}

double rmse(const float* x, const float* y, std::size_t count) {
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const double e = static_cast<double>(x[i]) - static_cast<double>(y[i]);
    sum += e * e;
  }
  return std::sqrt(sum / static_cast<double>(count));
}

TEST(Quantize, EqualsForeignImplementationsToTheBit) {
  int seen = 0;
  for (const testing::Record& record : testing::read_records()) {
    if (record.name.rfind("quantize/", 0) != 0) continue;
    const auto format = format_by_name(record.name.substr(9));
    ASSERT_TRUE(format) << record.name;
    std::vector<std::byte> bytes(record.bytes.size());
    quantize_row(*format, record.floats.data(), static_cast<int>(record.floats.size()),
                 bytes.data());
    EXPECT_EQ(bytes, record.bytes) << record.name;
    ++seen;
  }
  EXPECT_EQ(seen, 8);
}

// On a unit Gaussian the searches are no worse than GGML's reference quantizers, whose errors these
// are (ggml 0.20, 262144 weights, plus half a per cent for another sample).
TEST(Quantize, SearchesDoNotLoseAgainstGgml) {
  struct Case {
    Format format;
    double ggml;
  };
  const Case cases[] = {{Format::q2_k, 0.2970},   {Format::q3_k, 0.1508},
                        {Format::q4_k, 0.0714},   {Format::q5_k, 0.03611},
                        {Format::q6_k, 0.01770},  {Format::iq4_nl, 0.07615},
                        {Format::iq4_xs, 0.07673}};
  const auto x = testing::gaussian(65536, 1.0f, 3);
  for (const Case& c : cases) {
    const auto y = there_and_back(c.format, x);
    EXPECT_LE(rmse(x.data(), y.data(), x.size()), c.ggml * 1.005) << info(c.format).name;
  }
}

// How far a block's root mean square error may be from zero. The search starts from the plain
// min-to-max quantizer (error at most half a step, or a step at the clipped end of a signed grid)
// and can only improve on it; then scales are coded, off by at most half a code (of `scale_codes`)
// times the largest weight code; halves round all by 2^-11.
struct Bound {
  Format format;
  bool grid;
  int group;
  double levels;       // steps from zero to the end of the range; IQ4: of its widest step, 24/127
  double scale_codes;  // 0: the scale is a half float of its own
};

double bound_of(const Bound& b, const float* x, int count) {
  double amax = 0, range = 0, lowest = 0;
  for (int g = 0; g < count; g += b.group) {
    const auto [low, high] = std::minmax_element(x + g, x + g + b.group);
    const double least = std::min(0.0, static_cast<double>(*low));
    range = std::max(range, static_cast<double>(*high) - least);
    lowest = std::max(lowest, -least);
    amax = std::max({amax, -static_cast<double>(*low), static_cast<double>(*high)});
  }
  const double step = b.grid ? amax / b.levels : range / b.levels;
  double bound = b.grid ? step : step / 2;
  if (b.scale_codes > 0) {
    // Fitted scales exceed the plain one by at most the widest trial and its refit: a factor of
    // two.
    bound += b.levels * (2 * step) / (2 * b.scale_codes);
    if (!b.grid) bound += 2 * lowest / (2 * b.scale_codes);
  }
  return bound + (amax + range) * 0x1p-11;
}

TEST(Quantize, ErrorsStayWithinTheStep) {
  const Bound bounds[] = {
      {Format::q8_0, false, 32, 254, 0}, {Format::q4_0, true, 32, 8, 0},
      {Format::q4_1, false, 32, 15, 0},  {Format::q5_0, true, 32, 16, 0},
      {Format::q5_1, false, 32, 31, 0},  {Format::q2_k, false, 16, 3, 15},
      {Format::q3_k, true, 16, 4, 32},   {Format::q4_k, false, 32, 15, 63},
      {Format::q5_k, false, 32, 31, 63}, {Format::q6_k, true, 16, 32, 128},
      {Format::iq4_nl, true, 32, 5, 0},  {Format::iq4_xs, true, 32, 5, 32},
  };
  for (const Bound& b : bounds) {
    const int block = info(b.format).block;
    for (const float deviation : {1e-3f, 1.0f, 1e3f}) {
      const auto x = testing::gaussian(8192, deviation, 5);
      const auto y = there_and_back(b.format, x);
      for (std::size_t at = 0; at < x.size(); at += static_cast<std::size_t>(block)) {
        double bound = bound_of(b, &x[at], block);
        if (b.format == Format::q8_0) bound *= 2;  // symmetric: the range is up to twice amax
        ASSERT_LE(rmse(&x[at], &y[at], static_cast<std::size_t>(block)), bound)
            << info(b.format).name << " block at " << at;
      }
    }
  }
}

TEST(Quantize, ZerosAreKept) {
  const std::vector<float> zeros(512);
  for (const Format format : testing::weight_formats()) {
    for (const float y : there_and_back(format, zeros)) EXPECT_EQ(y, 0.0f) << info(format).name;
  }
}

// A group of zeros, or one large weight, beside usual ones.
TEST(Quantize, UnevenGroupsKeepTheirShape) {
  auto x = testing::gaussian(512, 0.1f, 9);
  std::fill(x.begin() + 32, x.begin() + 64, 0.0f);
  x[100] = 40.0f;
  for (const Format format : testing::weight_formats()) {
    if (!is_quantized(format)) continue;
    const auto y = there_and_back(format, x);
    for (std::size_t i = 32; i < 64; ++i) EXPECT_EQ(y[i], 0.0f) << info(format).name << ' ' << i;
    EXPECT_NEAR(y[100], 40.0f, 40.0f * 0.2f) << info(format).name;
  }
}

// Whatever comes in, something comes out; sanitizer builds check that nothing undefined happens.
TEST(Quantize, SurvivesAnyInput) {
  const float odd[] = {std::numeric_limits<float>::quiet_NaN(),
                       std::numeric_limits<float>::infinity(),
                       -std::numeric_limits<float>::infinity(),
                       std::numeric_limits<float>::max(),
                       std::numeric_limits<float>::lowest(),
                       std::numeric_limits<float>::denorm_min(),
                       -1e-30f,
                       1e-10f};
  for (const Format format : testing::weight_formats()) {
    for (const float value : odd) {
      auto x = testing::gaussian(256, 1.0f, 11);
      x[17] = value;
      there_and_back(format, x);
      std::fill(x.begin(), x.end(), value);
      there_and_back(format, x);
    }
  }
}

struct Matrix {
  int rows, cols;
  F8Scale style;
};

class F8Blocks : public ::testing::TestWithParam<Matrix> {};

INSTANTIATE_TEST_SUITE_P(Shapes, F8Blocks,
                         ::testing::Values(Matrix{128, 128, F8Scale::any},
                                           Matrix{1, 1, F8Scale::any},
                                           Matrix{130, 300, F8Scale::any},
                                           Matrix{257, 129, F8Scale::power_of_two}));

// E4M3 has three bits of fraction, and steps of 2^-9 below 2^-6.
TEST_P(F8Blocks, ErrorsStayWithinTheStep) {
  const auto [rows, cols, style] = GetParam();
  auto x =
      testing::gaussian(static_cast<std::size_t>(rows) * static_cast<std::size_t>(cols), 0.02f, 1);
  const int across = (cols + 127) / 128, down = (rows + 127) / 128;
  std::vector<std::byte> q(x.size());
  std::vector<float> scales(static_cast<std::size_t>(across * down) + 1, -1.0f);
  quantize_f8_blocks(x.data(), rows, cols, style, q.data(), scales.data());
  EXPECT_EQ(scales.back(), -1.0f);
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < cols; ++c) {
      const std::size_t at = static_cast<std::size_t>(r) * static_cast<std::size_t>(cols) +
                             static_cast<std::size_t>(c);
      const float scale = scales[static_cast<std::size_t>(r / 128 * across + c / 128)];
      const float y = f8_e4m3_to_float(static_cast<std::uint8_t>(q[at])) * scale;
      ASSERT_NEAR(y, x[at], std::max(std::fabs(x[at]) * 0x1.001p-4f, scale * 0x1p-10f))
          << r << ' ' << c;
    }
  }
}

TEST(F8Blocks, ScalesAreTightAndPowersOnDemand) {
  std::vector<float> x(128 * 256);
  x[5] = -3.0f;  // the second block is all zeros
  std::vector<std::byte> q(x.size());
  float scales[2];
  quantize_f8_blocks(x.data(), 128, 256, F8Scale::any, q.data(), scales);
  EXPECT_EQ(scales[0], 3.0f / 448.0f);
  EXPECT_EQ(scales[1], 1.0f);
  EXPECT_EQ(static_cast<int>(q[5]), 0xfe);
  quantize_f8_blocks(x.data(), 128, 256, F8Scale::power_of_two, q.data(), scales);
  EXPECT_EQ(scales[0], 0x1p-7f);  // 3/448 = 0.857·2^-7
  x[5] = 448.0f;
  quantize_f8_blocks(x.data(), 128, 256, F8Scale::power_of_two, q.data(), scales);
  EXPECT_EQ(scales[0], 1.0f);
}

}  // namespace
}  // namespace nautile::kernels
