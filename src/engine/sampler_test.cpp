// sampler_test.cpp — the sampler against a naive one in double, against known shares, and its
// errors.
#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "base/error.h"
#include "base/rng.h"

namespace nautile::engine {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
using Tokens = std::vector<std::int32_t>;

std::vector<float> random_logits(std::size_t count, std::uint64_t seed, double spread) {
  std::vector<float> logits(count);
  for (std::size_t i = 0; i < count; ++i)
    logits[i] = static_cast<float>(spread * normal_pair(seed, i, 99)[0]);
  return logits;
}

// The shares [W] the header promises, step by step in double with a full sort.
std::vector<double> naive_shares(std::vector<float> logits, const SamplingParams& params,
                                 const Tokens& prompt, const Tokens& generated) {
  const auto count_in = [](const Tokens& tokens, std::size_t id) {
    return std::count(tokens.begin(), tokens.end(), static_cast<std::int32_t>(id));
  };
  std::vector<double> x(logits.begin(), logits.end());
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto bias = params.logit_bias.find(static_cast<std::int32_t>(i));
    if (bias != params.logit_bias.end()) x[i] += bias->second;
    const auto times = count_in(generated, i);
    if (times + count_in(prompt, i) > 0)
      x[i] = x[i] > 0 ? x[i] / params.repetition_penalty : x[i] * params.repetition_penalty;
    if (times > 0)
      x[i] -= params.presence_penalty + static_cast<double>(times) * params.frequency_penalty;
  }
  std::vector<std::size_t> order(x.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return x[a] > x[b]; });
  std::vector<double> share(x.size(), 0);
  if (params.temperature == 0) {
    share[order[0]] = 1;
    return share;
  }
  const double largest = x[order[0]];
  std::size_t kept = params.top_k > 0
                         ? std::min<std::size_t>(static_cast<std::size_t>(params.top_k), x.size())
                         : x.size();
  double total = 0;
  for (std::size_t rank = 0; rank < kept; ++rank) {
    share[order[rank]] = std::exp((x[order[rank]] - largest) / params.temperature);
    total += share[order[rank]];
  }
  double reached = 0;
  std::size_t rank = 0;
  while (rank < kept) {
    reached += share[order[rank++]];
    if (reached >= params.top_p * total) break;
  }
  for (std::size_t i = rank; i < kept; ++i) share[order[i]] = 0;
  for (std::size_t i = 1; i < x.size(); ++i) {
    if (share[order[i]] < params.min_p * share[order[0]]) share[order[i]] = 0;
  }
  total = std::accumulate(share.begin(), share.end(), 0.0);
  for (double& value : share) value /= total;
  return share;
}

// Pearson's statistic of `draws` draws at positions 0, 1, …; tokens of share 0 must not come.
double chi_square(const std::vector<float>& logits, const SamplingParams& params,
                  const std::vector<double>& shares, int draws, int& freedom) {
  Sampler sampler(params, static_cast<std::int32_t>(logits.size()));
  std::vector<int> hits(logits.size(), 0);
  for (int i = 0; i < draws; ++i)
    ++hits[static_cast<std::size_t>(sampler.sample(logits, {}, {}, i).token)];
  double chi = 0;
  freedom = -1;
  for (std::size_t i = 0; i < hits.size(); ++i) {
    if (shares[i] == 0) {
      EXPECT_EQ(hits[i], 0) << "token " << i << " was cut";
      continue;
    }
    const double expected = shares[i] * draws;
    chi += (hits[i] - expected) * (hits[i] - expected) / expected;
    ++freedom;
  }
  return chi;
}

void expect_shares(const std::vector<float>& logits, const SamplingParams& params,
                   const std::vector<double>& shares) {
  int freedom = 0;
  const double chi = chi_square(logits, params, shares, 20000, freedom);
  // Mean `freedom`, variance 2 · freedom; five deviations, and a floor for few degrees.
  EXPECT_LT(chi, freedom + 5 * std::sqrt(2.0 * freedom) + 8);
}

std::vector<float> logs(std::initializer_list<double> shares) {
  std::vector<float> logits;
  for (const double share : shares) logits.push_back(static_cast<float>(std::log(share)) + 3);
  return logits;
}

std::int32_t greedy(const std::vector<float>& logits, SamplingParams params, const Tokens& prompt,
                    const Tokens& generated) {
  params.temperature = 0;
  Sampler sampler(params, static_cast<std::int32_t>(logits.size()));
  return sampler.sample(logits, prompt, generated, 0).token;
}

TEST(Sampler, GreedyTakesTheLargestAndTheLowerIdOfTies) {
  EXPECT_EQ(greedy({1, 5, 3, 5}, {}, {}, {}), 1);
  EXPECT_EQ(greedy({-7, -kInfinity, -6}, {}, {}, {}), 2);
  EXPECT_EQ(greedy({0}, {}, {}, {}), 0);
}

TEST(Sampler, LogprobIsOfTheModelsOwnDistribution) {
  SamplingParams params;
  params.temperature = 0;
  params.logit_bias[2] = 100;
  Sampler sampler(params, 3);
  const Sampled sampled = sampler.sample(logs({0.5, 0.3, 0.2}), {}, {}, 0);
  EXPECT_EQ(sampled.token, 2);
  EXPECT_NEAR(sampled.logprob, std::log(0.2), 1e-6);
}

TEST(Sampler, TemperatureScalesLogits) {
  SamplingParams params;
  expect_shares(logs({0.5, 0.3, 0.2}), params, {0.5, 0.3, 0.2});
  params.temperature = 0.5f;  // squares the shares
  expect_shares(logs({0.5, 0.3, 0.2}), params, {25 / 38.0, 9 / 38.0, 4 / 38.0});
  params.temperature = 1e-38f;
  expect_shares(logs({0.5, 0.3, 0.2}), params, {1, 0, 0});
}

TEST(Sampler, TopKKeepsKAndTheLowerIdsOfTies) {
  SamplingParams params;
  params.top_k = 2;
  expect_shares(logs({0.1, 0.5, 0.1, 0.3}), params, {0, 0.625, 0, 0.375});
  params.top_k = 3;
  expect_shares(logs({0.1, 0.5, 0.1, 0.3}), params, {1 / 9.0, 5 / 9.0, 0, 3 / 9.0});
  params.top_k = 1;
  expect_shares({2, 2, 2}, params, {1, 0, 0});
  params.top_k = 100;
  expect_shares({2, 2}, params, {0.5, 0.5});
}

TEST(Sampler, TopPKeepsTheSmallestSetThatReachesIt) {
  SamplingParams params;
  params.top_p = 0.79f;
  expect_shares(logs({0.2, 0.5, 0.3}), params, {0, 0.625, 0.375});
  params.top_p = 0.81f;
  expect_shares(logs({0.2, 0.5, 0.3}), params, {0.2, 0.5, 0.3});
  params.top_p = 0;  // never empty
  expect_shares(logs({0.2, 0.5, 0.3}), params, {0, 1, 0});
  params.top_p = 0.6f;  // ties: the lower ids
  expect_shares({1, 1, 1, 1}, params, {1 / 3.0, 1 / 3.0, 1 / 3.0, 0});
}

TEST(Sampler, MinPIsAShareOfTheLargest) {
  SamplingParams params;
  params.min_p = 0.55f;
  expect_shares(logs({0.2, 0.5, 0.3}), params, {0, 0.625, 0.375});
  params.min_p = 1;
  expect_shares(logs({0.2, 0.5, 0.3}), params, {0, 1, 0});
}

TEST(Sampler, RepetitionPenaltyCountsPromptAndAnswerOnce) {
  SamplingParams params;
  params.repetition_penalty = 2;
  EXPECT_EQ(greedy({4, 2.1f, 0}, params, {0}, {}), 1);      // 4 / 2 < 2.1
  EXPECT_EQ(greedy({4, 1.9f, 0}, params, {0, 0}, {0}), 0);  // divided once only
  EXPECT_EQ(greedy({-1, -1.9f}, params, {0}, {}), 1);       // -1 · 2 < -1.9
  EXPECT_EQ(greedy({4, 2.1f}, params, {}, {}), 0);
  EXPECT_EQ(greedy({4, 2.1f}, params, {-1, 2, 999}, {}), 0);  // foreign ids count for none
}

TEST(Sampler, PresenceAndFrequencyCountTheAnswerAlone) {
  SamplingParams params;
  params.presence_penalty = 1;
  EXPECT_EQ(greedy({4, 3.5f}, params, {0}, {}), 0);
  EXPECT_EQ(greedy({4, 3.5f}, params, {}, {0}), 1);
  EXPECT_EQ(greedy({4, 2.9f}, params, {}, {0, 0, 0}), 0);  // once, however often
  params.presence_penalty = 0;
  params.frequency_penalty = 0.4f;
  EXPECT_EQ(greedy({4, 2.9f}, params, {}, {0, 0}), 0);
  EXPECT_EQ(greedy({4, 2.9f}, params, {}, {0, 0, 0}), 1);
}

TEST(Sampler, CountsAreForgottenBetweenCalls) {
  SamplingParams params;
  params.temperature = 0;
  params.frequency_penalty = 1;
  params.repetition_penalty = 1.5f;
  Sampler sampler(params, 2);
  const std::vector<float> logits{4, 3};
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(sampler.sample(logits, {}, Tokens{0}, i).token, 1);
    EXPECT_EQ(sampler.sample(logits, {}, {}, i).token, 0);
  }
}

TEST(Sampler, BiasComesBeforePenalties) {
  SamplingParams params;
  params.logit_bias = {{0, -kInfinity}};
  EXPECT_EQ(greedy({9, 1}, params, {}, {}), 1);
  params.logit_bias = {{0, 3}};
  params.repetition_penalty = 2;
  // (1 + 3) / 2 = 2 lies below 2.2; penalty first would give 1/2 + 3 = 3.5.
  EXPECT_EQ(greedy({1, 2.2f}, params, {0}, {}), 1);
}

TEST(Sampler, CutsSeeWhatEarlierCutsLeft) {
  SamplingParams params;
  params.top_k = 2;
  params.top_p = 0.6f;
  // Of {0.5, 0.3} renormalised, 0.5 is 0.625 and reaches 0.6 alone; of the whole it would not.
  expect_shares(logs({0.5, 0.3, 0.2}), params, {1, 0, 0});
  params = {};
  params.temperature = 0.5f;
  params.top_p = 0.6f;
  // After the temperature 25/38 = 0.66 reaches it alone.
  expect_shares(logs({0.5, 0.3, 0.2}), params, {1, 0, 0});
}

// 400 vocabularies with random parameters: the token is the naive one's, but where the random
// number falls within rounding of a border between tokens.
TEST(Sampler, EqualsTheNaiveSampler) {
  int compared = 0, borders = 0;
  for (std::uint64_t trial = 0; trial < 400; ++trial) {
    const auto words = philox(trial, 0, 5), more = philox(trial, 1, 5);
    const auto size = static_cast<std::size_t>(1 + words[0] % 700);
    std::vector<float> logits = random_logits(size, trial, 0.5 + words[1] % 8);
    if (words[2] % 4 == 0) {
      for (float& logit : logits) logit = std::round(logit);  // many ties
    }
    SamplingParams params;
    params.seed = trial * 77;
    params.temperature = std::array{0.3f, 0.7f, 1.0f, 1.7f}[more[0] % 4];
    params.top_k = std::array{0, 1, 5, 40, 300}[more[1] % 5];
    params.top_p = std::array{1.0f, 0.95f, 0.5f, 0.1f}[more[2] % 4];
    params.min_p = std::array{0.0f, 0.02f, 0.3f}[more[3] % 3];
    params.repetition_penalty = std::array{1.0f, 1.3f}[words[3] % 2];
    params.frequency_penalty = std::array{0.0f, 0.7f}[words[3] / 2 % 2];
    params.logit_bias[0] = 2;
    Tokens prompt, generated;
    for (std::uint32_t i = 0; i < 20; ++i) {
      prompt.push_back(static_cast<std::int32_t>(philox(trial, i, 6)[0] % size));
      generated.push_back(static_cast<std::int32_t>(philox(trial, i, 7)[0] % size));
    }
    const std::vector<double> shares = naive_shares(logits, params, prompt, generated);
    Sampler sampler(params, static_cast<std::int32_t>(size));
    for (std::uint64_t position = 0; position < 20; ++position) {
      const auto got = static_cast<std::size_t>(
          sampler.sample(logits, prompt, generated, static_cast<std::int64_t>(position)).token);
      const auto draw = philox(params.seed, position, 0x73616d706c65);
      const double u = unit_interval(draw[0], draw[1]);
      double below = 0;
      for (std::size_t i = 0; i < got; ++i) below += shares[i];
      ++compared;
      if (u >= below && u < below + shares[got]) continue;
      ++borders;
      EXPECT_GT(shares[got], 0) << "trial " << trial;
      EXPECT_GT(u, below - 1e-5) << "trial " << trial;
      EXPECT_LT(u, below + shares[got] + 1e-5) << "trial " << trial;
    }
  }
  EXPECT_EQ(compared, 8000);
  EXPECT_LT(borders, 4);
}

TEST(Sampler, DrawDependsOnSeedAndPositionOnly) {
  const std::vector<float> logits = random_logits(5000, 1, 2);
  SamplingParams params;
  params.seed = 42;
  Sampler forward(params, 5000), backward(params, 5000);
  Tokens first, second(50);
  for (int i = 0; i < 50; ++i) first.push_back(forward.sample(logits, {}, {}, i).token);
  for (int i = 49; i >= 0; --i)
    second[static_cast<std::size_t>(i)] = backward.sample(logits, {}, {}, i).token;
  EXPECT_EQ(first, second);
  params.seed = 43;
  Sampler other(params, 5000);
  Tokens third;
  for (int i = 0; i < 50; ++i) third.push_back(other.sample(logits, {}, {}, i).token);
  EXPECT_NE(first, third);
}

TEST(Sampler, LargeVocabularyKeepsItsShares) {
  std::vector<float> logits = random_logits(129280, 3, 1);
  for (std::size_t i = 0; i < 5; ++i) logits[i * 20000] = 12 - static_cast<float>(i) / 2;
  SamplingParams params;
  params.top_p = 0.7f;
  const std::vector<double> shares = naive_shares(logits, params, {}, {});
  Sampler sampler(params, 129280);
  std::vector<int> hits(logits.size(), 0);
  for (int i = 0; i < 1000; ++i)
    ++hits[static_cast<std::size_t>(sampler.sample(logits, {}, {}, i).token)];
  // The five likely ones each, then the rest by sixteenths of the vocabulary.
  std::vector<double> expected(5 + 16, 0), found(5 + 16, 0);
  int cut_hits = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const std::size_t cell = i % 20000 == 0 && i < 100000 ? i / 20000 : 5 + i * 16 / logits.size();
    expected[cell] += 1000 * shares[i];
    found[cell] += hits[i];
    cut_hits += shares[i] == 0 ? hits[i] : 0;
  }
  EXPECT_EQ(cut_hits, 0);
  double chi = 0;
  for (std::size_t i = 0; i < expected.size(); ++i)
    chi += (found[i] - expected[i]) * (found[i] - expected[i]) / expected[i];
  EXPECT_LT(chi, 20 + 5 * std::sqrt(2.0 * 20));
}

TEST(Sampler, RefusesNumbersThatMeanNothing) {
  Sampler sampler({}, 3);
  const auto message = [&](std::vector<float> logits) -> std::string {
    try {
      sampler.sample(logits, {}, {}, 0);
    } catch (const Error& error) {
      return error.message();
    }
    return "";
  };
  EXPECT_EQ(message({1, std::nanf(""), 2}), "cannot sample: the logit of token 1 is nan");
  EXPECT_EQ(message({1, 2, kInfinity}), "cannot sample: the logit of token 2 is inf");
  EXPECT_EQ(message({-kInfinity, -kInfinity, -kInfinity}),
            "cannot sample: every logit of the model is -inf");
  SamplingParams params;
  params.logit_bias = {{0, -kInfinity}, {1, -kInfinity}};
  Sampler banned(params, 2);
  EXPECT_THROW(banned.sample(std::vector<float>{1, 2}, {}, {}, 0), Error);
}

TEST(Sampler, NamesTheParameterOutOfRange) {
  const auto message = [](const auto& change) -> std::string {
    SamplingParams params;
    change(params);
    try {
      params.validate(10);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::usage);
      return error.message();
    }
    return "";
  };
  EXPECT_EQ(message([](SamplingParams&) {}), "");
  EXPECT_EQ(message([](SamplingParams& p) { p.temperature = -1; }),
            "temperature is -1: expected a finite number of at least 0");
  EXPECT_EQ(message([](SamplingParams& p) { p.top_p = 1.5f; }),
            "top_p is 1.5: expected a number from 0 to 1");
  EXPECT_EQ(message([](SamplingParams& p) { p.min_p = std::nanf(""); }),
            "min_p is nan: expected a number from 0 to 1");
  EXPECT_EQ(message([](SamplingParams& p) { p.top_k = -2; }),
            "top_k is -2: expected 0 (all) or more");
  EXPECT_NE(message([](SamplingParams& p) { p.repetition_penalty = 0; }), "");
  EXPECT_NE(message([](SamplingParams& p) { p.frequency_penalty = kInfinity; }), "");
  EXPECT_EQ(message([](SamplingParams& p) { p.logit_bias[10] = 1; }),
            "logit_bias names token 10: this model's tokens are 0 to 9");
  EXPECT_NE(message([](SamplingParams& p) { p.logit_bias[1] = kInfinity; }), "");
}

}  // namespace
}  // namespace nautile::engine
