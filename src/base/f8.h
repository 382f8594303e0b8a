// f8.h — 8-bit floats: E4M3 (finite, NaN 0x7f/0xff, max 448; OCP FP8 "FN") and E8M0 (powers of
// two).
#pragma once

#include <cstdint>
#include <cstring>

namespace nautile {

static inline float f8_e4m3_to_float(std::uint8_t bits) {
  const int exponent = (bits >> 3) & 15;
  const int fraction = bits & 7;
  float magnitude;
  if (exponent == 15 && fraction == 7) {
    magnitude = __builtin_nanf("");
  } else if (exponent == 0) {
    magnitude = static_cast<float>(fraction) * 0x1p-9f;
  } else {
    const std::uint32_t word = static_cast<std::uint32_t>(exponent + 120) << 23 |
                               static_cast<std::uint32_t>(fraction) << 20;
    std::memcpy(&magnitude, &word, 4);
  }
  return bits & 0x80 ? -magnitude : magnitude;
}

// Rounds to nearest even and saturates at ±448; NaN becomes 0x7f.
static inline std::uint8_t float_to_f8_e4m3(float value) {
  std::uint32_t word;
  std::memcpy(&word, &value, 4);
  const std::uint8_t sign = static_cast<std::uint8_t>((word >> 24) & 0x80u);
  word &= 0x7fffffffu;
  if (word > 0x7f800000u) return static_cast<std::uint8_t>(sign | 0x7f);
  float magnitude;
  std::memcpy(&magnitude, &word, 4);
  if (magnitude >= 448.0f) return static_cast<std::uint8_t>(sign | 0x7e);
  if (magnitude < 0x1p-6f) {  // subnormal: steps of 2^-9; adding 2^14 leaves exactly those bits
    magnitude += 0x1p14f;
    std::memcpy(&word, &magnitude, 4);
    return static_cast<std::uint8_t>(sign | (word - 0x46800000u));
  }
  word += 0x7ffffu + ((word >> 20) & 1u);
  return static_cast<std::uint8_t>(sign | ((word - (120u << 23)) >> 20));
}

// 2^(bits - 127); 255 is NaN.
static inline float f8_e8m0_to_float(std::uint8_t bits) {
  if (bits == 255) return __builtin_nanf("");
  const std::uint32_t word = bits ? static_cast<std::uint32_t>(bits) << 23 : 0x400000u;
  float result;
  std::memcpy(&result, &word, 4);
  return result;
}

}  // namespace nautile
