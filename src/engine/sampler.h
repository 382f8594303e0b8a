// sampler.h — Sampler: the next token from logits, deterministic per seed and position.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace nautile::engine {

// Order: logit bias, penalties, temperature, then top-k, top-p and min-p on the distribution that is
// left. Neutral values switch a step off.
struct SamplingParams {
  float temperature = 1;   // 0: the largest logit, ties to the lower id
  int top_k = 0;           // 0: all
  float top_p = 1;         // smallest set of largest probabilities whose sum reaches it
  float min_p = 0;         // share of the largest probability
  float repetition_penalty = 1;  // CTRL (Keskar et al. 2019): divides positive, multiplies negative logits
  float presence_penalty = 0;    // OpenAI: subtracted once if the token was generated
  float frequency_penalty = 0;   // OpenAI: subtracted for each time it was generated
  std::uint64_t seed = 0;
  std::map<std::int32_t, float> logit_bias;

  // Throws Error(usage) naming the first value out of range.
  void validate(std::int32_t vocabulary) const;
};

struct Sampled {
  std::int32_t token = 0;
  float logprob = 0;  // of the model's own distribution, before any of the steps
};

class Sampler {
 public:
  Sampler(SamplingParams params, std::int32_t vocabulary);

  // logits [W]. `prompt` counts for the repetition penalty alone, `generated` for all penalties.
  // The draw depends on (seed, position) and the numbers given, on nothing else.
  Sampled sample(std::span<const float> logits, std::span<const std::int32_t> prompt,
                 std::span<const std::int32_t> generated, std::int64_t position);

 private:
  SamplingParams params_;
  std::vector<float> work_;           // [W]
  std::vector<std::int32_t> order_;   // candidates
};

}  // namespace nautile::engine
