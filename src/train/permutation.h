// permutation.h — Permutation: a shuffled order of [0, n) that needs no memory.
#pragma once

#include <bit>
#include <cstdint>

#include "base/error.h"
#include "base/rng.h"

namespace nautile::train {

// A bijection of [0, size), another for every key: a balanced Feistel network of six rounds over
// the next even power of two, walked until the value falls into the range (Black and Rogaway,
// "Ciphers with arbitrary finite domains", 2002). At most four steps on average.
class Permutation {
 public:
  Permutation(std::uint64_t size, std::uint64_t key) : size_(size), key_(key) {
    NAUTILE_ASSERT(size > 0 && size <= std::uint64_t{1} << 60, "a permutation of {}", size);
    half_bits_ = (static_cast<int>(std::bit_width(size - 1)) + 1) / 2;
    if (half_bits_ == 0) half_bits_ = 1;
  }

  std::uint64_t operator()(std::uint64_t index) const {
    NAUTILE_ASSERT(index < size_, "index {} of {}", index, size_);
    do {
      index = cipher(index);
    } while (index >= size_);
    return index;
  }

 private:
  std::uint64_t cipher(std::uint64_t value) const {
    const std::uint64_t mask = (std::uint64_t{1} << half_bits_) - 1;
    std::uint64_t left = value >> half_bits_, right = value & mask;
    for (std::uint64_t round = 0; round < 6; ++round) {
      const std::uint64_t next = left ^ (mix64(key_ + right * 0x9E3779B97F4A7C15u + round) & mask);
      left = right;
      right = next;
    }
    return left << half_bits_ | right;
  }

  std::uint64_t size_, key_;
  int half_bits_;
};

}  // namespace nautile::train
