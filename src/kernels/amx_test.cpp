// amx_test.cpp — the products of the amx table, on real tiles where the CPU has them and on
// emulated ones everywhere: order of sums, shapes that do not fill their tiles, sums that continue.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "kernels/amx_testing.h"

namespace nautile::kernels {
namespace {

struct Shape {
  int m, panels, count;
};
constexpr Shape kShapes[] = {{1, 1, 32},  {1, 4, 512},  {2, 3, 160},  {15, 2, 64},  {16, 1, 512},
                             {17, 3, 96}, {32, 4, 544}, {33, 2, 480}, {70, 1, 1184}};

// Memory that begins off every boundary and ends where the last value ends.
template <class T>
struct Buffer {
  explicit Buffer(std::size_t count) : bytes(count * sizeof(T) + 4) {}
  T* data() { return reinterpret_cast<T*>(bytes.data() + 4); }
  const T* data() const { return reinterpret_cast<const T*>(bytes.data() + 4); }
  std::vector<std::byte> bytes;
};

class AmxTable : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam() ? !cpu_features().can(Isa::amx) : !testing::emulated_amx())
      GTEST_SKIP() << "this CPU has no such table";
    kernels_ = GetParam() ? &table(Isa::amx) : testing::emulated_amx();
  }
  const PanelKernels& panels() const { return kernels_->panels; }

  float draw() { return normal_(random_); }
  std::vector<float> draws(std::size_t n) {
    std::vector<float> values(n);
    for (float& value : values) value = draw();
    return values;
  }
  // Small whole numbers, as E4M3 codes.
  int whole(int most) { return std::uniform_int_distribution<int>(-most, most)(random_); }

 private:
  const Kernels* kernels_ = nullptr;
  std::mt19937 random_{42};
  std::normal_distribution<float> normal_{0, 1};
};

INSTANTIATE_TEST_SUITE_P(Tiles, AmxTable, ::testing::Bool(),
                         [](const auto& param) { return param.param ? "Real" : "Emulated"; });

constexpr std::size_t at(int a, int b, int stride) {
  return static_cast<std::size_t>(a) * static_cast<std::size_t>(stride) +
         static_cast<std::size_t>(b);
}

// What TDPBF16PS adds for 32 columns: two chains of fused multiply-adds, then their sum.
float add_step(const bf16* x, const bf16* w, int count, float y) {
  float even = 0, odd = 0;
  for (int c = 0; c < count; c += 2) {
    even = std::fma(to_float(w[c]), to_float(x[c]), even);
    if (c + 1 < count) odd = std::fma(to_float(w[c + 1]), to_float(x[c + 1]), odd);
  }
  return y + (even + odd);
}

float add_steps(const bf16* x, const bf16* w, int count, float y) {
  for (int c = 0; c < count; c += 32) y = add_step(x + c, w + c, std::min(32, count - c), y);
  return y;
}

std::vector<bf16> rounded(const std::vector<float>& values) {
  std::vector<bf16> out(values.size());
  std::transform(values.begin(), values.end(), out.begin(), [](float x) { return to_bf16(x); });
  return out;
}

TEST_P(AmxTable, Bf16SumsEvenAndOddColumnsByThirtyTwo) {
  for (Shape shape : kShapes) {
    for (int missing : {0, 1, 18}) {  // columns that the last step lacks
      const int count = shape.count - missing, even = (count + 1) / 2 * 2,
                width = 16 * shape.panels;
      const int rows = width - 5;
      const std::vector<float> values = draws(static_cast<std::size_t>(width * count));
      const std::vector<bf16> w = rounded(values);
      const int room = (count + 31) / 32 * 32 * 16;
      Buffer<bf16> panel(static_cast<std::size_t>(room * shape.panels)),
          x(static_cast<std::size_t>(shape.m * even));
      for (int p = 0; p < shape.panels; ++p) {
        bf16* out = panel.data() + p * room;
        const int exist = std::min(16, rows - 16 * p);
        if (p % 2 == 0) {
          panels().interleave_bf16(values.data() + p * 16 * count, static_cast<std::size_t>(count),
                                   exist, count, out);
        } else {
          panels().interleave_bf16_rows(w.data() + p * 16 * count, static_cast<std::size_t>(count),
                                        exist, count, out);
        }
      }
      for (int i = 0; i < shape.m; ++i)
        panels().pack_bf16(draws(static_cast<std::size_t>(count)).data(), count,
                           x.data() + i * even);
      std::vector<float> y = draws(static_cast<std::size_t>(shape.m * width));
      const std::vector<float> before = y;
      panels().multiply_bf16({x.data(), static_cast<std::size_t>(even)},
                             {panel.data(), static_cast<std::size_t>(room)},
                             {shape.m, shape.panels, count, static_cast<std::size_t>(width)},
                             y.data());
      for (int i = 0; i < shape.m; ++i) {
        for (int r = 0; r < width; ++r) {
          const float start = before[at(i, r, width)];
          const float expected =
              r < rows ? add_steps(x.data() + i * even, w.data() + r * count, count, start) : start;
          ASSERT_EQ(y[at(i, r, width)], expected)
              << shape.m << " " << shape.panels << " " << count << ": " << i << " " << r;
        }
      }
    }
  }
}

// Subnormal numbers count as zeros of their sign: in the weights, the inputs, every step and the
// sum. Two even columns of the step's 32 carry the same product.
TEST_P(AmxTable, Bf16FlushesSubnormals) {
  struct Case {
    float weight, input, before, after;
  };
  constexpr Case kCases[] = {{0x1p-130f, 0x1p100f, 1, 1},
                             {0x1p100f, -0x1p-127f, 0, 0},
                             {0x1p-63f, 0x1p-64f, 0, 0},
                             {0x1p-63f, 0x1p-63f, 0, 0x1p-125f},
                             {0, 0, 0x1p-140f, 0},
                             {-1, 0x1p-126f, 0x1.8p-126f, -0.0f},
                             {0x1p-64f, 0x1p-64f, -0x1p-126f, -0x1p-126f}};
  constexpr int kCount = 3;
  const std::vector<bf16> nothing(32, to_bf16(NAN));
  for (const Case& one : kCases) {
    const float weights[] = {one.weight, 0, one.weight}, inputs[] = {one.input, 0, one.input};
    bf16 x[kCount + 1], panel[16 * 32];
    panels().interleave_bf16(weights, kCount, 1, kCount, panel);
    panels().pack_bf16(inputs, kCount, x);
    float y[16] = {one.before};
    // Leaves NaNs in the working memory, which lanes without columns must not meet.
    float unread[16] = {};
    panels().multiply_bf16({nothing.data(), 32}, {panel, 512}, {1, 1, 32, 16}, unread);
    panels().multiply_bf16({x, kCount + 1}, {panel, 512}, {1, 1, kCount, 16}, y);
    EXPECT_EQ(y[0], one.after) << one.weight << " " << one.input;
    EXPECT_EQ(std::signbit(y[0]), std::signbit(one.after)) << one.weight << " " << one.input;
  }
}

TEST_P(AmxTable, F8ScalesTheSumsOfSlabs) {
  for (Shape shape : kShapes) {
    const int count = std::min(shape.count, kChunk) - 3, even = count + 1,
              width = 16 * shape.panels;
    const int room = (count + 31) / 32 * 32 * 16, slabs = (count + 127) / 128;
    std::vector<float> values(static_cast<std::size_t>(width * count));
    for (float& value : values) value = static_cast<float>(whole(14)) * 0.25f;
    const std::vector<bf16> w = rounded(values);
    Buffer<bf16> panel(static_cast<std::size_t>(room * shape.panels)),
        x(static_cast<std::size_t>(shape.m * even));
    std::vector<float> x_scale(static_cast<std::size_t>(shape.m * slabs));
    const std::vector<float> w_scale = draws(static_cast<std::size_t>(shape.panels * slabs * 16));
    for (int p = 0; p < shape.panels; ++p) {
      panels().interleave_bf16(values.data() + p * 16 * count, static_cast<std::size_t>(count), 16,
                               count, panel.data() + p * room);
    }
    for (int i = 0; i < shape.m; ++i) {
      panels().pack_f8(draws(static_cast<std::size_t>(count)).data(), count, F8Scale::any,
                       kF8LeastInput, x.data() + i * even, x_scale.data() + i * slabs);
    }
    std::vector<float> y = draws(static_cast<std::size_t>(shape.m * width));
    const std::vector<float> before = y;
    panels().multiply_f8(
        {x.data(), static_cast<std::size_t>(even), x_scale.data(), static_cast<std::size_t>(slabs)},
        {panel.data(), static_cast<std::size_t>(room), w_scale.data(),
         static_cast<std::size_t>(slabs * 16)},
        {shape.m, shape.panels, count, static_cast<std::size_t>(width)}, y.data());
    for (int i = 0; i < shape.m; ++i) {
      for (int r = 0; r < width; ++r) {
        float expected = before[at(i, r, width)];
        for (int s = 0; s < slabs; ++s) {
          const float part =
              add_steps(x.data() + i * even + 128 * s, w.data() + r * count + 128 * s,
                        std::min(128, count - 128 * s), 0);
          const float scale = w_scale[static_cast<std::size_t>((r / 16 * slabs + s) * 16 + r % 16)];
          expected = std::fma(part, x_scale[at(i, s, slabs)] * scale, expected);
        }
        ASSERT_EQ(y[at(i, r, width)], expected)
            << shape.m << " " << shape.panels << " " << count << ": " << i << " " << r;
      }
    }
  }
}

}  // namespace
}  // namespace nautile::kernels
