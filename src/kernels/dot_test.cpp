// dot_test.cpp — products of few rows straight from the file's bytes give the panels' bits.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/amx_testing.h"
#include "kernels/formats_testing.h"

namespace nautile::kernels {
namespace {

struct Case {
  int m, rows, count;
};

// Inputs of class i8: `x` [m][count], packed by a table.
struct Packed {
  std::vector<std::byte> q;
  std::vector<float> scale;
  std::vector<std::int32_t> sums;
  I8Input view;

  Packed(const Kernels& kernels, const std::vector<float>& x, int m, int count)
      : q(x.size() * kI8InputBytes), scale(x.size() / 32), sums(x.size() / 16) {
    const std::size_t n = static_cast<std::size_t>(count);
    for (std::size_t i = 0; i < static_cast<std::size_t>(m); ++i) {
      kernels.panels.pack_i8(x.data() + i * n, count, q.data() + i * n * kI8InputBytes,
                             scale.data() + i * n / 32, sums.data() + i * n / 16);
    }
    view = {q.data(), n * kI8InputBytes, scale.data(), n / 32, sums.data(), n / 16};
  }
};

// The same product by unpacking, interleaving and multiply_i8.
std::vector<float> by_panel(const Kernels& kernels, const FormatKernels& format, const I8Input& x,
                            Case shape, const std::byte* bytes, std::size_t stride) {
  const std::size_t count = static_cast<std::size_t>(shape.count), room = (count + 63) / 64 * 64;
  std::vector<std::int8_t> integers(kPanelRows * room);
  std::vector<float> scale(kPanelRows * count / 16), offset(scale.size());
  for (int r = 0; r < shape.rows; ++r) {
    const std::size_t row = static_cast<std::size_t>(r);
    format.i8(bytes + row * stride, shape.count, integers.data() + row * room, scale.data() + r,
              offset.data() + r);
  }
  std::vector<std::byte> panel(kPanelRows * room *
                               static_cast<std::size_t>(kernels.panels.i8_panel_bytes));
  kernels.panels.interleave_i8(integers.data(), room, shape.rows, shape.count, panel.data());
  std::vector<float> y(static_cast<std::size_t>(shape.m) * kPanelRows, 0.0f);
  kernels.panels.multiply_i8(
      x,
      {panel.data(), panel.size(), scale.data(),
       format.offsets == Offsets::none ? nullptr : offset.data(), scale.size(), format.group},
      {shape.m, 1, shape.count, kPanelRows}, y.data());
  return y;
}

void expect_panel_bits(const Kernels& kernels, Format format, Case shape,
                       const std::vector<std::byte>& bytes, const std::vector<float>& x) {
  const FormatKernels& kernel = kernels.format(format);
  const std::size_t stride = row_bytes(format, static_cast<std::size_t>(shape.count));
  const Packed input(kernels, x, shape.m, shape.count);
  const std::vector<float> expected =
      by_panel(kernels, kernel, input.view, shape, bytes.data(), stride);
  constexpr std::size_t kStride = kPanelRows + 3;
  std::vector<float> y(static_cast<std::size_t>(shape.m) * kStride, 0.0f);
  kernel.dot(input.view, shape.m, bytes.data(), stride, shape.rows, shape.count, y.data(), kStride);
  for (std::size_t i = 0; i < static_cast<std::size_t>(shape.m); ++i) {
    for (std::size_t r = 0; r < static_cast<std::size_t>(shape.rows); ++r) {
      ASSERT_TRUE(testing::same(y[i * kStride + r], expected[i * kPanelRows + r]))
          << info(format).name << " [" << shape.m << ", " << shape.rows << ", " << shape.count
          << "] at " << i << ", " << r << ": " << y[i * kStride + r] << ", expected "
          << expected[i * kPanelRows + r];
    }
  }
}

class FewRowsOf : public ::testing::TestWithParam<Isa> {
 protected:
  // amx has avx512's loop and its own panels, which emulated tiles can fill.
  const Kernels* kernels() const {
    if (cpu_features().can(GetParam())) return &table(GetParam());
    return GetParam() == Isa::amx ? testing::emulated_amx() : nullptr;
  }
  void SetUp() override {
    if (!kernels()) GTEST_SKIP() << "this CPU has no such table";
  }
};

INSTANTIATE_TEST_SUITE_P(Tables, FewRowsOf,
                         ::testing::Values(Isa::avx2, Isa::avx512_vnni, Isa::avx512, Isa::amx),
                         [](const auto& param) { return std::string(name(param.param)); });

std::vector<Format> quantized() {
  std::vector<Format> formats;
  for (const Format format : testing::weight_formats()) {
    if (is_quantized(format)) formats.push_back(format);
  }
  return formats;
}

TEST_P(FewRowsOf, EqualThePanelsToTheBit) {
  for (const Format format : quantized()) {
    ASSERT_NE(kernels()->format(format).dot, nullptr) << info(format).name;
    for (const int blocks : {1, 2, 3, 7, 8, 9, 17}) {
      for (const int rows : {1, 7, 8, 9, 16}) {
        for (const int m : {1, 2}) {
          const Case shape{m, rows, blocks * info(format).block};
          const std::size_t size = row_bytes(format, static_cast<std::size_t>(shape.count)) *
                                   static_cast<std::size_t>(rows);
          const std::uint32_t seed = static_cast<std::uint32_t>(100 * blocks + 2 * rows + m);
          expect_panel_bits(
              *kernels(), format, shape, testing::random_bytes(size, seed),
              testing::gaussian(static_cast<std::size_t>(m) * static_cast<std::size_t>(shape.count),
                                1.0f, seed));
        }
      }
    }
  }
}

// Inputs of one size are the greatest whole numbers; codes of all bits are the greatest or the
// least. Sums of a group reach 32·128·32512, and must neither wrap nor saturate on the way.
TEST_P(FewRowsOf, KeepTheGreatestSums) {
  for (const Format format : quantized()) {
    const Case shape{2, kPanelRows, 2 * info(format).block};
    const std::size_t size = row_bytes(format, static_cast<std::size_t>(shape.count)) * kPanelRows;
    for (const unsigned fill : {0x00u, 0x7fu, 0x80u, 0xffu}) {
      std::vector<std::byte> bytes(size, static_cast<std::byte>(fill));
      for (std::size_t at = 0; at < size; at += 3)
        bytes[at] = static_cast<std::byte>(fill & 0x3fu);  // most half floats stay finite
      std::vector<float> x(
          static_cast<std::size_t>(shape.m) * static_cast<std::size_t>(shape.count), 1.0f);
      expect_panel_bits(*kernels(), format, shape, bytes, x);
      for (std::size_t i = 0; i < x.size(); i += 2) x[i] = -1.0f;
      expect_panel_bits(*kernels(), format, shape, bytes, x);
    }
  }
}

}  // namespace
}  // namespace nautile::kernels
