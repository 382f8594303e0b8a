// draw.h — Draw: random choices of one problem, a pure function of where the problem stands.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/rng.h"

namespace nautile::tasks {

// The stream of random words of (seed, stream, index); 2^32 blocks of four.
class Draw {
 public:
  Draw(std::uint64_t seed, std::uint32_t stream, std::uint64_t index)
      : key_{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)},
        counter_{static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32), stream,
                 0} {}

  std::uint32_t next() {
    if (used_ == 4) {
      block_ = philox4x32(counter_, key_);
      ++counter_[3];
      used_ = 0;
    }
    return block_[used_++];
  }
  // In [0, count); count in 1 … 2^31. The bias of the multiplication is below 2^-20.
  std::int64_t below(std::int64_t count) {
    return static_cast<std::int64_t>(std::uint64_t{next()} * static_cast<std::uint64_t>(count) >>
                                     32);
  }
  std::int64_t between(std::int64_t low, std::int64_t high) {  // both included
    return low + below(high - low + 1);
  }
  bool chance(double probability) { return next() < probability * 0x1p32; }

  template <class Container>
  const auto& pick(const Container& choices) {
    NAUTILE_ASSERT(std::size(choices) > 0, "nothing to pick from");
    return choices[static_cast<std::size_t>(below(static_cast<std::int64_t>(std::size(choices))))];
  }
  const char* pick(std::initializer_list<const char*> choices) {
    return choices.begin()[below(static_cast<std::int64_t>(choices.size()))];
  }
  template <class T>
  void shuffle(std::vector<T>& items) {
    for (std::size_t i = items.size(); i > 1; --i) {
      std::swap(items[i - 1], items[static_cast<std::size_t>(below(static_cast<std::int64_t>(i)))]);
    }
  }

 private:
  std::array<std::uint32_t, 2> key_;
  std::array<std::uint32_t, 4> counter_;
  std::array<std::uint32_t, 4> block_{};
  std::size_t used_ = 4;
};

}  // namespace nautile::tasks
