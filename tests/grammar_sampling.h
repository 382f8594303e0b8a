// grammar_sampling.h — random walks along a grammar's masks, for checks and benchmarks.
#pragma once

#include <bit>
#include <cstdint>
#include <ctime>
#include <random>
#include <string>
#include <vector>

#include "text/grammar.h"

namespace nautile {

enum class Sampling : std::uint8_t {
  uniform,  // every token that may come is as likely as any other
  skewed,   // orders of magnitude apart, as a model's at temperature 1.5; what closes is likelier
};

struct SampledText {
  std::string bytes;
  std::vector<TokenId> ids;
  std::vector<double> mask_us;  // per token; the thread's own time, as other programs run beside
  std::string failure;          // empty, or which promise was broken
  bool ended = false;
};

// Microseconds of processor time that this thread has taken.
inline double thread_us() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) * 1e-3;
}

class GrammarSampler {
 public:
  explicit GrammarSampler(const GrammarVocabulary& vocabulary)
      : vocabulary_(vocabulary), mask_(vocabulary.mask_words()) {
    for (TokenId id = 0; id < vocabulary.size(); ++id) {
      const std::string& bytes = vocabulary.bytes(id);
      closes_.push_back(bytes.empty() || bytes.find_first_of("\"]}") != bytes.npos);
    }
  }

  // At most `budget` tokens; `limits` tells the masks so, or leaves them without a budget.
  enum class Limits : std::uint8_t { budget, none };
  SampledText walk(std::shared_ptr<const CompiledGrammar> grammar, std::uint64_t seed,
                   std::uint32_t budget, Sampling sampling, Limits limits) {
    std::mt19937_64 random(seed);
    GrammarState state(std::move(grammar));
    SampledText result;
    for (; budget > 0 && !state.ended(); --budget) {
      const double start = thread_us();
      state.allowed(mask_, limits == Limits::budget ? budget : GrammarState::kNoBudget);
      result.mask_us.push_back(thread_us() - start);
      const TokenId id = choose(random, sampling);
      if (id == kNoToken) {
        result.failure = "no token is allowed";
        break;
      }
      if (!state.accept(id)) {
        result.failure = "an allowed token is not accepted";
        break;
      }
      result.ids.push_back(id);
      result.bytes += vocabulary_.bytes(id);
    }
    result.ended = state.ended();
    return result;
  }

 private:
  TokenId choose(std::mt19937_64& random, Sampling sampling) {
    TokenId best = kNoToken;
    double best_score = -1e300;
    std::uint64_t seen = 0;
    for (std::size_t w = 0; w < mask_.size(); ++w) {
      for (std::uint64_t word = mask_[w]; word != 0; word &= word - 1) {
        const auto id =
            static_cast<TokenId>(w * 64 + static_cast<std::size_t>(std::countr_zero(word)));
        if (sampling == Sampling::uniform) {
          if (random() % ++seen == 0) best = id;
          continue;
        }
        const double score = this->score(random, id);
        if (score > best_score) {
          best_score = score;
          best = id;
        }
      }
    }
    return best;
  }

  // A logit between about -9 and 9 (the sum of uniform ones), and noise as sampling adds it.
  double score(std::mt19937_64& random, TokenId id) const {
    const std::uint64_t bits = random();
    double logit = -12;
    for (int i = 0; i < 4; ++i) logit += 6.0 / 255 * static_cast<double>((bits >> (8 * i)) & 255);
    return logit + (closes_[static_cast<std::size_t>(id)] ? 5 : 0);
  }

  const GrammarVocabulary& vocabulary_;
  std::vector<std::uint64_t> mask_;
  std::vector<bool> closes_;  // by token
};

}  // namespace nautile
