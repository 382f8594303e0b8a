// rng_test.cpp — Philox against the vectors its authors publish, and its uniformity.
#include "base/rng.h"

#include <gtest/gtest.h>

#include <vector>

namespace nautile {
namespace {

using Words = std::array<std::uint32_t, 4>;

// Random123's kat_vectors, "philox4x32 10".
TEST(Rng, PublishedVectors) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  constexpr std::uint32_t kOnes = 0xffffffff;
  EXPECT_EQ(philox4x32({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  // The digits of pi.
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Rng, WholeWordsFillCounterAndKeyLowFirst) {
  EXPECT_EQ(philox(0x299f31d0a4093822, 0x85a308d3243f6a88, 0x0370734413198a2e),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Rng, UnitIntervalExcludesOne) {
  EXPECT_EQ(unit_interval(0, 0), 0.0);
  EXPECT_EQ(unit_interval(0x80000000, 0), 0.5);
  EXPECT_LT(unit_interval(0xffffffff, 0xffffffff), 1.0);
}

TEST(Rng, NeighbouringCountersAreUniform) {
  constexpr int kCells = 256, kDraws = 256 * 1000;
  std::vector<int> hits(kCells, 0);
  for (int i = 0; i < kDraws; ++i) {
    const Words words = philox(7, static_cast<std::uint64_t>(i), 0);
    ++hits[static_cast<std::size_t>(unit_interval(words[0], words[1]) * kCells)];
  }
  double chi = 0;
  for (const int hit : hits) chi += (hit - 1000.0) * (hit - 1000.0) / 1000.0;
  // 255 degrees of freedom: mean 255, deviation 22.6; six deviations each way.
  EXPECT_GT(chi, 120);
  EXPECT_LT(chi, 390);
}

}  // namespace
}  // namespace nautile
