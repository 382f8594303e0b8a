// logits.h — sums over a row of logits: its largest, its normalizer, its likeliest tokens.
#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <vector>

namespace nautile::engine {

// exp(-x) for x >= 0, 0 below the normal numbers (from 87.7 on). Plain arithmetic in a form that
// the compiler turns into vectors, so every machine gets the same bits. Relative error below 2e-7.
inline float exp_minus(float x) {
  // The smaller of x and 100, by their bits: these compare as integers, without branches.
  const auto bits = std::bit_cast<std::int32_t>(x);
  const float bounded = -std::bit_cast<float>(bits < 0x42C80000 ? bits : 0x42C80000);
  // Adding 1.5 * 2^23 rounds to a whole number, which then stands in the low mantissa bits.
  const float shifted = bounded * 1.44269504f + 12582912.0f;
  const float n = shifted - 12582912.0f;
  // ln 2 in two parts, the first exact in products with n.
  const float r = (bounded - n * 0.693145752f) - n * 1.42860677e-6f;
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const std::int32_t exponent = std::bit_cast<std::int32_t>(shifted) - 0x4B400000 + 127;
  return p * std::bit_cast<float>((exponent > 0 ? exponent : 0) << 23);
}

// The largest of logits [W]; -inf counts. Throws Error(failure) naming the first that is NaN or
// +inf.
float largest_finite(std::span<const float> logits);

// log p(i) = (logit(i) - largest) - log_sum [nats].
struct Normalizer {
  float largest = 0;
  double log_sum = 0;

  float logprob(float logit) const {
    return static_cast<float>(static_cast<double>(logit - largest) - log_sum);
  }
};
// `scratch` [W] is overwritten. Sums in a fixed order. Throws as largest_finite does, and if every
// logit is -inf.
Normalizer normalizer(std::span<const float> logits, std::span<float> scratch);

// The `count` largest logits (fewer if there are fewer), descending, ties by ascending token.
struct RankedLogit {
  std::int32_t token = 0;
  float logit = 0;
};
void likeliest(std::span<const float> logits, std::size_t count, std::vector<RankedLogit>& into);

}  // namespace nautile::engine
