// sampler.cpp — bias, penalties and cuts as passes over the vocabulary; cuts found by histogram.
#include "engine/sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include "base/error.h"
#include "base/rng.h"

namespace nautile::engine {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr std::uint64_t kSamplerStream = 0x73616d706c65;  // "sample"

// Distances in buckets of 1/32 nat; the last one takes all from 64 nats on.
constexpr std::size_t kBuckets = 2048;
std::size_t bucket_of(float distance) {
  const float scaled = distance * 32;
  return scaled < static_cast<float>(kBuckets - 1) ? static_cast<std::size_t>(scaled)
                                                   : kBuckets - 1;
}

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

// The largest of logits [W]. NaN and +inf show in the pass that finds it: neither is <= FLT_MAX.
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

// log of the sum of exp(logit - largest); `scratch` [W] is overwritten.
double log_sum(std::span<const float> logits, float largest, std::span<float> scratch) {
  for (std::size_t i = 0; i < logits.size(); ++i) scratch[i] = exp_minus(largest - logits[i]);
  return std::log(sum_of(scratch));
}

void require_range(const char* name, float value, float low, float high) {
  if (value >= low && value <= high) return;  // false for NaN
  if (high == std::numeric_limits<float>::max()) {
    fail(ErrorKind::usage, "{} is {}: expected a finite number of at least {}", name, value, low);
  }
  fail(ErrorKind::usage, "{} is {}: expected a number from {} to {}", name, value, low, high);
}

}  // namespace

void SamplingParams::validate(std::int32_t vocabulary) const {
  constexpr float kMost = std::numeric_limits<float>::max();
  require_range("temperature", temperature, 0, kMost);
  if (top_k < 0) fail(ErrorKind::usage, "top_k is {}: expected 0 (all) or more", top_k);
  require_range("top_p", top_p, 0, 1);
  require_range("min_p", min_p, 0, 1);
  require_range("repetition_penalty", repetition_penalty, std::numeric_limits<float>::min(), kMost);
  for (const auto& [name, value] : {std::pair{"presence_penalty", presence_penalty},
                                    std::pair{"frequency_penalty", frequency_penalty}}) {
    if (!std::isfinite(value))
      fail(ErrorKind::usage, "{} is {}: expected a finite number", name, value);
  }
  for (const auto& [token, bias] : logit_bias) {
    if (token < 0 || token >= vocabulary) {
      fail(ErrorKind::usage, "logit_bias names token {}: this model's tokens are 0 to {}", token,
           vocabulary - 1);
    }
    if (std::isnan(bias) || bias == kInfinity) {
      fail(ErrorKind::usage, "logit_bias of token {} is {}: expected a number or -inf", token,
           bias);
    }
  }
}

Sampler::Sampler(SamplingParams params, std::int32_t vocabulary) : params_(std::move(params)) {
  NAUTILE_ASSERT(vocabulary > 0, "a sampler of {} tokens", vocabulary);
  params_.validate(vocabulary);
  const auto size = static_cast<std::size_t>(vocabulary);
  work_.resize(size);
  weights_.resize(size);
}

void Sampler::penalize(std::span<const std::int32_t> prompt,
                       std::span<const std::int32_t> generated) {
  const auto known = [&](std::int32_t token) {
    return token >= 0 && static_cast<std::size_t>(token) < work_.size();
  };
  const auto at = [](std::int32_t token) { return static_cast<std::size_t>(token); };
  if (params_.repetition_penalty != 1) {
    counts_.resize(work_.size());
    for (const auto& tokens : {prompt, generated}) {
      for (const std::int32_t token : tokens) {
        if (!known(token) || counts_[at(token)]++ > 0) continue;
        float& logit = work_[at(token)];
        logit = logit > 0 ? logit / params_.repetition_penalty : logit * params_.repetition_penalty;
      }
    }
    for (const auto& tokens : {prompt, generated}) {
      for (const std::int32_t token : tokens) {
        if (known(token)) counts_[at(token)] = 0;
      }
    }
  }
  if (params_.presence_penalty != 0 || params_.frequency_penalty != 0) {
    counts_.resize(work_.size());
    for (const std::int32_t token : generated) {
      if (known(token)) ++counts_[at(token)];
    }
    for (const std::int32_t token : generated) {
      if (!known(token) || counts_[at(token)] == 0) continue;
      const auto times = static_cast<float>(std::exchange(counts_[at(token)], 0));
      work_[at(token)] -= params_.presence_penalty + times * params_.frequency_penalty;
    }
  }
}

Sampler::Rank Sampler::cut_top_k() const {
  const auto k = static_cast<std::size_t>(params_.top_k);
  std::array<std::uint32_t, kBuckets> members{};
  for (const float distance : work_) ++members[bucket_of(distance)];
  std::size_t before = 0, bucket = 0;
  while (before + members[bucket] < k) before += members[bucket++];
  ranks_.clear();
  for (std::size_t i = 0; i < work_.size(); ++i) {
    if (bucket_of(work_[i]) == bucket) ranks_.push_back({work_[i], static_cast<std::int32_t>(i)});
  }
  const auto last = ranks_.begin() + static_cast<std::ptrdiff_t>(k - before - 1);
  std::nth_element(ranks_.begin(), last, ranks_.end());
  return *last;
}

Sampler::Rank Sampler::cut_top_p(Rank cut) const {
  std::array<double, kBuckets> mass{};
  double total = 0;
  for (std::size_t i = 0; i < work_.size(); ++i) {
    if (Rank{work_[i], static_cast<std::int32_t>(i)} > cut) continue;
    mass[bucket_of(work_[i])] += weights_[i];
  }
  for (const double part : mass) total += part;
  const double wanted = params_.top_p * total;
  double before = 0;
  std::size_t bucket = 0;
  while (bucket + 1 < kBuckets && before + mass[bucket] < wanted) before += mass[bucket++];
  ranks_.clear();
  for (std::size_t i = 0; i < work_.size(); ++i) {
    const Rank rank{work_[i], static_cast<std::int32_t>(i)};
    if (bucket_of(work_[i]) == bucket && rank <= cut) ranks_.push_back(rank);
  }
  std::sort(ranks_.begin(), ranks_.end());
  for (const Rank& rank : ranks_) {
    before += weights_[static_cast<std::size_t>(rank.token)];
    if (before >= wanted) return rank;
  }
  return ranks_.empty() ? cut : ranks_.back();
}

std::int32_t Sampler::draw(float largest, std::int64_t position) {
  // Distance first, then the temperature: the quotient of a tiny temperature may overflow to +inf,
  // which is a weight of 0, but never becomes NaN.
  const float temperature = params_.temperature;
  for (std::size_t i = 0; i < work_.size(); ++i) {
    const float distance = (largest - work_[i]) / temperature;
    work_[i] = distance;
    weights_[i] = exp_minus(distance);
  }
  Rank cut{kInfinity, std::numeric_limits<std::int32_t>::max()};
  if (params_.top_k > 0 && static_cast<std::size_t>(params_.top_k) < work_.size())
    cut = cut_top_k();
  if (params_.top_p < 1) cut = cut_top_p(cut);

  order_.clear();
  double total = 0;
  for (std::size_t i = 0; i < work_.size(); ++i) {
    // The largest logit's weight is exactly 1, so the weight is the share of it.
    if (work_[i] > cut.distance || weights_[i] < params_.min_p || weights_[i] == 0) continue;
    if (work_[i] == cut.distance && static_cast<std::int32_t>(i) > cut.token) continue;
    order_.push_back(static_cast<std::int32_t>(i));
    total += weights_[i];
  }
  const auto words = philox(params_.seed, static_cast<std::uint64_t>(position), kSamplerStream);
  const double target = unit_interval(words[0], words[1]) * total;
  double reached = 0;
  for (const std::int32_t token : order_) {
    reached += weights_[static_cast<std::size_t>(token)];
    if (reached > target) return token;
  }
  NAUTILE_ASSERT(!order_.empty(), "the cuts left no token");
  return order_.back();  // the product rounded up to the total
}

Sampled Sampler::sample(std::span<const float> logits, std::span<const std::int32_t> prompt,
                        std::span<const std::int32_t> generated, std::int64_t position) {
  NAUTILE_ASSERT(logits.size() == work_.size(), "{} logits for a sampler of {}", logits.size(),
                 work_.size());
  const float model_largest = largest_finite(logits);
  if (model_largest == -kInfinity)
    fail(ErrorKind::failure, "cannot sample: every logit of the model is -inf");
  const double model_log_sum = log_sum(logits, model_largest, weights_);

  std::copy(logits.begin(), logits.end(), work_.begin());
  for (const auto& [token, bias] : params_.logit_bias)
    work_[static_cast<std::size_t>(token)] += bias;
  penalize(prompt, generated);
  const float largest = largest_finite(work_);
  if (largest == -kInfinity)
    fail(ErrorKind::failure, "cannot sample: logit_bias excludes every token");

  Sampled result;
  if (params_.temperature == 0) {
    result.token =
        static_cast<std::int32_t>(std::find(work_.begin(), work_.end(), largest) - work_.begin());
  } else {
    result.token = draw(largest, position);
  }
  const float logit = logits[static_cast<std::size_t>(result.token)];
  result.logprob = static_cast<float>(static_cast<double>(logit - model_largest) - model_log_sum);
  return result;
}

}  // namespace nautile::engine
