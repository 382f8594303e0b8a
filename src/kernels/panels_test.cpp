// Panels and inputs from columns are those from turned rows, in every table's own order; sums that
// continue, replace and are added.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernels/amx_testing.h"

namespace nautile::kernels {
namespace {

// Every table, and behind them the amx table over emulated tiles.
class PanelTable : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override {
    const bool emulated = GetParam() == kIsaCount;
    if (emulated ? !testing::emulated_amx() : !cpu_features().can(static_cast<Isa>(GetParam())))
      GTEST_SKIP() << "this CPU has no such table";
    table_ = emulated ? testing::emulated_amx() : &table(static_cast<Isa>(GetParam()));
  }
  const PanelKernels& panels() const { return table_->panels; }

  std::vector<float> normal(int n) {
    std::normal_distribution<float> draw(0, 1);
    std::vector<float> values(static_cast<std::size_t>(n));
    for (float& value : values) value = draw(random_);
    return values;
  }

 private:
  const Kernels* table_ = nullptr;
  std::mt19937 random_{5};
};

INSTANTIATE_TEST_SUITE_P(Tables, PanelTable, ::testing::Range(0, kIsaCount + 1), [](const auto& p) {
  return p.param == kIsaCount ? std::string("emulated")
                              : std::string(name(static_cast<Isa>(p.param)));
});

constexpr int kStride = 40;  // of x [rows, 40]; `first` is the panel's first column
constexpr std::size_t kLongest = 130;
constexpr std::size_t kRoom = 160 * kPanelRows;  // of a panel; amx fills up to 32 columns

struct Case {
  int rows, first, lanes;
};
constexpr Case kCases[] = {{1, 0, 16}, {2, 3, 16},  {7, 5, 1},   {31, 0, 9},   {32, 24, 16},
                           {33, 1, 8}, {64, 16, 7}, {97, 0, 15}, {130, 20, 16}};

TEST_P(PanelTable, ColumnsAreTurnedRows) {
  const std::vector<float> x = normal(static_cast<int>(kLongest) * kStride);
  std::vector<bf16> x16;
  for (float value : x) x16.push_back(to_bf16(value));
  for (const auto& [rows, first, lanes] : kCases) {
    const std::string where = std::to_string(rows) + " rows, " + std::to_string(lanes) + " lanes";
    std::vector<float> turned(kPanelRows * kLongest);
    panels().transpose(x.data() + first, kStride, rows, lanes, turned.data(), kLongest);

    std::vector<float> a(kRoom, -1), b = a;
    panels().columns_f32(x.data() + first, kStride, rows, lanes, a.data());
    panels().interleave_f32(turned.data(), kLongest, lanes, rows, b.data());
    EXPECT_EQ(a, b) << where;

    std::vector<bf16> c(kRoom, to_bf16(-1)), d = c, e = c;
    panels().columns_bf16(x.data() + first, kStride, rows, lanes, c.data());
    panels().columns_bf16_rows(x16.data() + first, kStride, rows, lanes, d.data());
    panels().interleave_bf16(turned.data(), kLongest, lanes, rows, e.data());
    const std::size_t bytes = kRoom * sizeof(bf16);
    EXPECT_EQ(std::memcmp(c.data(), e.data(), bytes), 0) << where;
    EXPECT_EQ(std::memcmp(d.data(), e.data(), bytes), 0) << where;

    std::vector<bf16> f(kPanelRows * kLongest, to_bf16(-1)), g = f;
    panels().turn_to_bf16(x.data() + first, kStride, rows, lanes, f.data(), kLongest);
    for (std::size_t r = 0; r < static_cast<std::size_t>(lanes); ++r)
      panels().pack_bf16(turned.data() + r * kLongest, rows, g.data() + r * kLongest);
    EXPECT_EQ(std::memcmp(f.data(), g.data(), f.size() * sizeof(bf16)), 0) << where;
  }
}

// y after sums onto it, of class bf16 or f32.
std::vector<float> multiplied(const PanelKernels& panels, bool narrow, int m, int count,
                              const std::vector<float>& x, const std::vector<float>& w, Onto onto,
                              std::vector<float> y) {
  constexpr int kPanels = 3;
  const std::size_t stride = static_cast<std::size_t>(count);
  const TileShape shape{m, kPanels, count, kPanels * kPanelRows, onto};
  std::vector<float> wide(kPanels * kRoom);
  std::vector<bf16> pairs(kPanels * kRoom), x16(static_cast<std::size_t>(m) * stride);
  for (std::size_t p = 0; p < kPanels; ++p) {
    const float* rows = w.data() + p * kPanelRows * stride;
    panels.interleave_f32(rows, stride, kPanelRows, count, wide.data() + p * kRoom);
    panels.interleave_bf16(rows, stride, kPanelRows, count, pairs.data() + p * kRoom);
  }
  for (std::size_t i = 0; i < static_cast<std::size_t>(m); ++i)
    panels.pack_bf16(x.data() + i * stride, count, x16.data() + i * stride);
  if (narrow) {
    panels.multiply_bf16({x16.data(), stride}, {pairs.data(), kRoom}, shape, y.data());
  } else {
    panels.multiply_f32({x.data(), stride}, {wide.data(), kRoom}, shape, y.data());
  }
  return y;
}

TEST_P(PanelTable, SumsContinueReplaceAndAreAdded) {
  constexpr int kCount = 66, kWidth = 48;
  const std::vector<float> w = normal(kWidth * kCount);
  for (const int m : {1, 2, 5, 6, 7, 13, 34}) {
    const std::vector<float> x = normal(m * kCount), before = normal(m * kWidth);
    const std::vector<float> unread(before.size(), NAN), zero(before.size());
    for (const bool narrow : {false, true}) {
      const auto run = [&](Onto onto, const std::vector<float>& y) {
        return multiplied(panels(), narrow, m, kCount, x, w, onto, y);
      };
      const std::vector<float> sums = run(Onto::continued, zero);
      EXPECT_EQ(run(Onto::replaced, unread), sums) << m << narrow;
      std::vector<float> added = before;
      for (std::size_t i = 0; i < added.size(); ++i) added[i] += sums[i];
      EXPECT_EQ(run(Onto::added, before), added) << m << narrow;
      EXPECT_NE(run(Onto::continued, before), sums) << m << narrow;
    }
  }
}

}  // namespace
}  // namespace nautile::kernels
