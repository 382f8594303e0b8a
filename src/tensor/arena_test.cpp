#include "tensor/arena.h"

#include <gtest/gtest.h>

#include <cstring>

#include "base/error.h"
#include "tensor/tensor.h"
#include "tensor/weight.h"

namespace nautile {
namespace {

TEST(Arena, RewindsToItsMarks) {
  Arena arena(1 << 20);
  arena.allocate(10);
  const std::size_t mark = arena.mark();
  std::byte* first;
  {
    Arena::Scope scope(arena);
    first = arena.allocate(1000);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(first) % Arena::kAlignment, 0u);
  }
  EXPECT_EQ(arena.mark(), mark);
  EXPECT_EQ(arena.allocate(5), first);
  EXPECT_GE(arena.peak(), 1000u);
}

TEST(Arena, ReleasesWhatWasRewound) {
  constexpr std::size_t kSize = 1 << 16;
  Arena arena(1 << 20);
  std::byte* kept = arena.allocate(100);
  kept[99] = std::byte{7};
  {
    Arena::Scope scope(arena);
    std::memset(arena.allocate(kSize), 1, kSize);
  }
  arena.release_unused();
  EXPECT_EQ(kept[99], std::byte{7});
  EXPECT_EQ(arena.allocate(kSize)[kSize - 1], std::byte{0});  // a fresh page
}

TEST(Arena, RefusesWhatDoesNotFit) {
  Arena arena(4096);
  EXPECT_THROW(arena.allocate(5000), Error);
  EXPECT_THROW(arena.allocate(~std::size_t{0}), Error);
  arena.allocate(4096);
  EXPECT_THROW(arena.allocate(1), Error);
}

TEST(Shape, CountsRowsAndPrints) {
  const Shape shape{4, 3, 5};
  EXPECT_EQ(shape.rows(), 12);
  EXPECT_EQ(shape.cols(), 5);
  EXPECT_EQ(shape.str(), "[4, 3, 5]");
}

TEST(Weight, KnowsItsBytes) {
  Weight w{.name = "w", .shape = {2, 130, 256}, .format = Format::q4_k};
  EXPECT_EQ(w.row_stride(), 144u);
  EXPECT_EQ(w.bytes(), 2u * 130 * 144);
  w.format = Format::f8_e4m3;
  w.scale_format = ScaleFormat::f32;
  EXPECT_EQ(w.scale_bytes(), 2u * 2 * 2 * 4);
}

}  // namespace
}  // namespace nautile
