// sampler.h — Sampler: the next token from logits, deterministic per seed and position.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "engine/logits.h"

namespace nautile::engine {

// Order: logit bias, penalties, temperature, then top-k, top-p and min-p on the distribution that
// is left. Neutral values switch a step off.
struct SamplingParams {
  float temperature = 1;  // 0: the largest logit, ties to the lower id
  int top_k = 0;          // 0: all
  float top_p = 1;        // smallest set of largest probabilities whose sum reaches it
  float min_p = 0;        // share of the largest probability
  float repetition_penalty =
      1;  // CTRL (Keskar et al. 2019): divides positive, multiplies negative logits
  float presence_penalty = 0;   // OpenAI: subtracted once if the token was generated
  float frequency_penalty = 0;  // OpenAI: subtracted for each time it was generated
  std::uint64_t seed = 0;
  std::map<std::int32_t, float> logit_bias;  // -inf bans a token

  // Throws Error(usage) naming the first value out of range.
  void validate(std::int32_t vocabulary) const;
};

struct Sampled {
  std::int32_t token = 0;
  float logprob = 0;  // of the model's own distribution, before any of the steps
  Normalizer model;   // of that distribution
};

// What a token is drawn from.
struct SampleFrom {
  std::span<const float> logits;            // [W]; -inf excludes a token
  std::span<const std::int32_t> prompt;     // counts for the repetition penalty alone
  std::span<const std::int32_t> generated;  // for all penalties
  std::int64_t position = 0;
  std::span<const std::int32_t> banned = {};    // tokens that may not come
  std::span<const std::uint64_t> allowed = {};  // bit i: token i may come; empty: all may
};

// Memory that a draw needs, O(W); samplers may share it, one draw at a time.
struct SamplerScratch {
  // Tokens are ranked by (distance, id), where distance [nats] is how far the scaled logit lies
  // below the largest one. A cut keeps what ranks no later than itself, so cuts compose by their
  // minimum.
  struct Rank {
    float distance;
    std::int32_t token;
    auto operator<=>(const Rank&) const = default;
  };
  std::vector<float> work;           // [W] logits after bias and penalties, then distances
  std::vector<float> weights;        // [W] exp(-distance)
  std::vector<std::int32_t> counts;  // [W] times seen; all 0 between draws
  std::vector<Rank> ranks;           // tokens near a cut
  std::vector<std::int32_t> order;   // tokens that the cuts keep
};

// Linear in W: no sort of the vocabulary, only of the tokens that lie within 1/32 nat of a cut.
class Sampler {
 public:
  // Throws Error(usage) as SamplingParams::validate does.
  Sampler(SamplingParams params, std::int32_t vocabulary);

  const SamplingParams& params() const { return params_; }

  // Ids outside [0, W) count for nothing. The draw depends on (seed, position) and the numbers
  // given, on nothing else. Throws Error(failure) naming the first logit that is NaN or +inf, or if
  // every token is excluded.
  Sampled sample(const SampleFrom& from, SamplerScratch& scratch) const;
  // The same in memory of its own.
  Sampled sample(std::span<const float> logits, std::span<const std::int32_t> prompt,
                 std::span<const std::int32_t> generated, std::int64_t position);

 private:
  SamplingParams params_;
  std::size_t vocabulary_;
  SamplerScratch scratch_;  // of the second sample(); empty if that is not used
};

}  // namespace nautile::engine
