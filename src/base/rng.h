// rng.h — random numbers by counter: what is drawn depends on (key, counter), never on draws
// before.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <string_view>

namespace nautile {

// Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC11):
// a bijection of 128-bit counters for each 64-bit key, whose outputs pass BigCrush.
constexpr std::array<std::uint32_t, 4> philox4x32(std::array<std::uint32_t, 4> counter,
                                                  std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t even = std::uint64_t{0xD2511F53} * counter[0];
    const std::uint64_t odd = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<std::uint32_t>(odd >> 32) ^ counter[1] ^ key[0],
               static_cast<std::uint32_t>(odd),
               static_cast<std::uint32_t>(even >> 32) ^ counter[3] ^ key[1],
               static_cast<std::uint32_t>(even)};
    key[0] += 0x9E3779B9;  // Weyl sequence of the golden ratio
    key[1] += 0xBB67AE85;  // and of sqrt(3) - 1
  }
  return counter;
}

// The same with whole words: `stream` separates uses that share a seed.
constexpr std::array<std::uint32_t, 4> philox(std::uint64_t seed, std::uint64_t index,
                                              std::uint64_t stream) {
  return philox4x32({static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32),
                     static_cast<std::uint32_t>(stream), static_cast<std::uint32_t>(stream >> 32)},
                    {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
}

// 53 random bits as a number in [0, 1).
constexpr double unit_interval(std::uint32_t high, std::uint32_t low) {
  const std::uint64_t bits = (std::uint64_t{high} << 32 | low) >> 11;
  return static_cast<double>(bits) * 0x1p-53;
}

// Two independent normal numbers (Box and Muller) from counter `index`.
inline std::array<double, 2> normal_pair(std::uint64_t seed, std::uint64_t index,
                                         std::uint64_t stream) {
  constexpr double kPi = 3.14159265358979323846;
  const auto bits = philox(seed, index, stream);
  const double radius = std::sqrt(-2 * std::log(1 - unit_interval(bits[0], bits[1])));
  const double angle = 2 * kPi * unit_interval(bits[2], bits[3]);
  return {radius * std::cos(angle), radius * std::sin(angle)};
}

// The finaliser of splitmix64 (Steele, Lea, Flood 2014): a bijection that spreads every bit of its
// input.
constexpr std::uint64_t mix64(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

// FNV-1a: a stream's number from its name.
constexpr std::uint64_t fnv1a(std::string_view text) {
  std::uint64_t hash = 0xCBF29CE484222325u;
  for (char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  return hash;
}

}  // namespace nautile
