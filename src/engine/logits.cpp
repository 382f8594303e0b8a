#include "engine/logits.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "base/error.h"

namespace nautile::engine {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Sum of values [n] in double, in eight fixed lanes.
double sum_of(std::span<const float> values) {
  constexpr std::size_t kLanes = 8;
  std::array<double, kLanes> lanes{};
  const std::size_t whole = values.size() / kLanes * kLanes;
  for (std::size_t i = 0; i < whole; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += values[i + lane];
  }
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  for (std::size_t i = whole; i < values.size(); ++i) sum += values[i];
  return sum;
}

}  // namespace

// NaN and +inf show in the pass that finds the largest: neither is <= FLT_MAX.
float largest_finite(std::span<const float> logits) {
  constexpr std::size_t kLanes = 16;
  std::array<float, kLanes> best;
  best.fill(-kInfinity);
  std::array<std::uint32_t, kLanes> bad{};
  const std::size_t whole = logits.size() / kLanes * kLanes;
  for (std::size_t i = 0; i < whole; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const float x = logits[i + lane];
      best[lane] = x > best[lane] ? x : best[lane];
      bad[lane] |= x <= std::numeric_limits<float>::max() ? 0u : 1u;
    }
  }
  float largest = *std::max_element(best.begin(), best.end());
  bool clean = std::count(bad.begin(), bad.end(), 0u) == static_cast<std::ptrdiff_t>(kLanes);
  for (std::size_t i = whole; i < logits.size(); ++i) {
    largest = std::max(largest, logits[i]);
    clean = clean && logits[i] <= std::numeric_limits<float>::max();
  }
  if (clean) return largest;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i]) || logits[i] == kInfinity) {
      throw make_error(ErrorKind::failure, "cannot sample: the logit of token {} is {}", i,
                       logits[i])
          .hint("the model's weights or its arithmetic are broken; try --class f32");
    }
  }
  NAUTILE_ASSERT(false, "a logit is neither finite, -inf, +inf nor NaN");
}

Normalizer normalizer(std::span<const float> logits, std::span<float> scratch) {
  const float largest = largest_finite(logits);
  if (largest == -kInfinity)
    fail(ErrorKind::failure, "cannot sample: every logit of the model is -inf");
  for (std::size_t i = 0; i < logits.size(); ++i) scratch[i] = exp_minus(largest - logits[i]);
  return {largest, std::log(sum_of(scratch.first(logits.size())))};
}

void likeliest(std::span<const float> logits, std::size_t count, std::vector<RankedLogit>& into) {
  into.clear();
  if (count == 0) return;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const float logit = logits[i];
    if (into.size() == count && !(logit > into.back().logit)) continue;
    if (into.size() == count) into.pop_back();
    // Behind its equals, which have lower ids.
    const auto place = std::find_if(into.begin(), into.end(),
                                    [&](const RankedLogit& r) { return logit > r.logit; });
    into.insert(place, {static_cast<std::int32_t>(i), logit});
  }
}

}  // namespace nautile::engine
