// sampler.cpp — bias, penalties and cuts as passes over the vocabulary; cuts found by histogram.
#include "engine/sampler.h"

#include <algorithm>
#include <array>
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

// One draw: the numbers that the steps pass on lie in the scratch.
struct Draw {
  using Rank = SamplerScratch::Rank;

  const SamplingParams& params;
  SamplerScratch& s;

  void penalize(std::span<const std::int32_t> prompt, std::span<const std::int32_t> generated) {
    const auto known = [&](std::int32_t token) {
      return token >= 0 && static_cast<std::size_t>(token) < s.work.size();
    };
    const auto at = [](std::int32_t token) { return static_cast<std::size_t>(token); };
    if (params.repetition_penalty != 1) {
      s.counts.resize(s.work.size());
      for (const auto& tokens : {prompt, generated}) {
        for (const std::int32_t token : tokens) {
          if (!known(token) || s.counts[at(token)]++ > 0) continue;
          float& logit = s.work[at(token)];
          logit = logit > 0 ? logit / params.repetition_penalty : logit * params.repetition_penalty;
        }
      }
      for (const auto& tokens : {prompt, generated}) {
        for (const std::int32_t token : tokens) {
          if (known(token)) s.counts[at(token)] = 0;
        }
      }
    }
    if (params.presence_penalty != 0 || params.frequency_penalty != 0) {
      s.counts.resize(s.work.size());
      for (const std::int32_t token : generated) {
        if (known(token)) ++s.counts[at(token)];
      }
      for (const std::int32_t token : generated) {
        if (!known(token) || s.counts[at(token)] == 0) continue;
        const auto times = static_cast<float>(std::exchange(s.counts[at(token)], 0));
        s.work[at(token)] -= params.presence_penalty + times * params.frequency_penalty;
      }
    }
  }

  Rank cut_top_k() const {
    const auto k = static_cast<std::size_t>(params.top_k);
    std::array<std::uint32_t, kBuckets> members{};
    for (const float distance : s.work) ++members[bucket_of(distance)];
    std::size_t before = 0, bucket = 0;
    while (before + members[bucket] < k) before += members[bucket++];
    s.ranks.clear();
    for (std::size_t i = 0; i < s.work.size(); ++i) {
      if (bucket_of(s.work[i]) == bucket)
        s.ranks.push_back({s.work[i], static_cast<std::int32_t>(i)});
    }
    const auto last = s.ranks.begin() + static_cast<std::ptrdiff_t>(k - before - 1);
    std::nth_element(s.ranks.begin(), last, s.ranks.end());
    return *last;
  }

  Rank cut_top_p(Rank cut) const {
    std::array<double, kBuckets> mass{};
    double total = 0;
    for (std::size_t i = 0; i < s.work.size(); ++i) {
      if (Rank{s.work[i], static_cast<std::int32_t>(i)} > cut) continue;
      mass[bucket_of(s.work[i])] += s.weights[i];
    }
    for (const double part : mass) total += part;
    const double wanted = params.top_p * total;
    double before = 0;
    std::size_t bucket = 0;
    while (bucket + 1 < kBuckets && before + mass[bucket] < wanted) before += mass[bucket++];
    s.ranks.clear();
    for (std::size_t i = 0; i < s.work.size(); ++i) {
      const Rank rank{s.work[i], static_cast<std::int32_t>(i)};
      if (bucket_of(s.work[i]) == bucket && rank <= cut) s.ranks.push_back(rank);
    }
    std::sort(s.ranks.begin(), s.ranks.end());
    for (const Rank& rank : s.ranks) {
      before += s.weights[static_cast<std::size_t>(rank.token)];
      if (before >= wanted) return rank;
    }
    return s.ranks.empty() ? cut : s.ranks.back();
  }

  std::int32_t draw(float largest, std::int64_t position) {
    // Distance first, then the temperature: the quotient of a tiny temperature may overflow to
    // +inf, which is a weight of 0, but never becomes NaN.
    const float temperature = params.temperature;
    for (std::size_t i = 0; i < s.work.size(); ++i) {
      const float distance = (largest - s.work[i]) / temperature;
      s.work[i] = distance;
      s.weights[i] = exp_minus(distance);
    }
    Rank cut{kInfinity, std::numeric_limits<std::int32_t>::max()};
    if (params.top_k > 0 && static_cast<std::size_t>(params.top_k) < s.work.size())
      cut = cut_top_k();
    if (params.top_p < 1) cut = cut_top_p(cut);

    s.order.clear();
    double total = 0;
    for (std::size_t i = 0; i < s.work.size(); ++i) {
      // The largest logit's weight is exactly 1, so the weight is the share of it.
      if (s.work[i] > cut.distance || s.weights[i] < params.min_p || s.weights[i] == 0) continue;
      if (s.work[i] == cut.distance && static_cast<std::int32_t>(i) > cut.token) continue;
      s.order.push_back(static_cast<std::int32_t>(i));
      total += s.weights[i];
    }
    const auto words = philox(params.seed, static_cast<std::uint64_t>(position), kSamplerStream);
    const double target = unit_interval(words[0], words[1]) * total;
    double reached = 0;
    for (const std::int32_t token : s.order) {
      reached += s.weights[static_cast<std::size_t>(token)];
      if (reached > target) return token;
    }
    NAUTILE_ASSERT(!s.order.empty(), "the cuts left no token");
    return s.order.back();  // the product rounded up to the total
  }
};

// What may not come gets -inf.
void exclude(const SampleFrom& from, std::span<float> work) {
  for (const std::int32_t token : from.banned) {
    if (token >= 0 && static_cast<std::size_t>(token) < work.size())
      work[static_cast<std::size_t>(token)] = -kInfinity;
  }
  if (from.allowed.empty()) return;
  for (std::size_t begin = 0; begin < work.size(); begin += 64) {
    const std::uint64_t word = begin / 64 < from.allowed.size() ? from.allowed[begin / 64] : 0;
    if (word == ~std::uint64_t{0}) continue;
    for (std::size_t i = begin; i < std::min(begin + 64, work.size()); ++i) {
      if ((word >> (i - begin) & 1) == 0) work[i] = -kInfinity;
    }
  }
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

Sampler::Sampler(SamplingParams params, std::int32_t vocabulary)
    : params_(std::move(params)), vocabulary_(static_cast<std::size_t>(vocabulary)) {
  NAUTILE_ASSERT(vocabulary > 0, "a sampler of {} tokens", vocabulary);
  params_.validate(vocabulary);
}

Sampled Sampler::sample(const SampleFrom& from, SamplerScratch& scratch) const {
  NAUTILE_ASSERT(from.logits.size() == vocabulary_, "{} logits for a sampler of {}",
                 from.logits.size(), vocabulary_);
  scratch.work.resize(vocabulary_);
  scratch.weights.resize(vocabulary_);
  const Normalizer model = normalizer(from.logits, scratch.weights);
  std::vector<float>& work = scratch.work;
  std::copy(from.logits.begin(), from.logits.end(), work.begin());
  for (const auto& [token, bias] : params_.logit_bias)
    work[static_cast<std::size_t>(token)] += bias;
  Draw draw{params_, scratch};
  draw.penalize(from.prompt, from.generated);
  exclude(from, work);
  const float largest = largest_finite(work);
  if (largest == -kInfinity)
    fail(ErrorKind::failure, "cannot sample: logit_bias excludes every token that may come");

  Sampled result{.model = model};
  if (params_.temperature == 0) {
    result.token =
        static_cast<std::int32_t>(std::find(work.begin(), work.end(), largest) - work.begin());
  } else {
    result.token = draw.draw(largest, from.position);
  }
  result.logprob = model.logprob(from.logits[static_cast<std::size_t>(result.token)]);
  return result;
}

Sampled Sampler::sample(std::span<const float> logits, std::span<const std::int32_t> prompt,
                        std::span<const std::int32_t> generated, std::int64_t position) {
  return sample({.logits = logits, .prompt = prompt, .generated = generated, .position = position},
                scratch_);
}

}  // namespace nautile::engine
