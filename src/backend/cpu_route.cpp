// cpu_route.cpp — expert choice from router scores, and its gradient, one token at a time. Plain
// scalar code: E is small, and the same numbers on every table keep the choices equal.
#include <algorithm>
#include <cmath>
#include <limits>

#include "backend/cpu_gradients.h"

namespace nautile {
namespace {

constexpr float kLowest = -std::numeric_limits<float>::infinity();

// A token's experts: probabilities, what selects them, and the order.
struct Candidates {
  std::vector<float> weight;     // [E] unbiased scores
  std::vector<float> selection;  // [E] biased; -inf when the group is out
  std::vector<float> group;      // [G]
  std::vector<int> order;
};

// p [E] = the unbiased scores of logits.
void score(const float* logits, const RouteRule& rule, float* p) {
  const std::size_t experts = static_cast<std::size_t>(rule.experts);
  if (rule.score == RouteRule::Score::sigmoid) {
    for (std::size_t e = 0; e < experts; ++e) p[e] = 1.0f / (1.0f + std::exp(-logits[e]));
  } else {
    const float top = *std::max_element(logits, logits + experts);
    float sum = 0;
    for (std::size_t e = 0; e < experts; ++e) sum += p[e] = std::exp(logits[e] - top);
    for (std::size_t e = 0; e < experts; ++e) p[e] /= sum;
  }
}

float group_score(const float* begin, const float* end, RouteRule::GroupScore kind) {
  float first = kLowest, second = kLowest;
  for (const float* s = begin; s != end; ++s) {
    if (*s > first) {
      second = first;
      first = *s;
    } else if (*s > second) {
      second = *s;
    }
  }
  return kind == RouteRule::GroupScore::max || end - begin < 2 ? first : first + second;
}

// The first `count` of `order` become the indices of the largest values, descending; ties go to the
// lower index.
void take_largest(const std::vector<float>& values, int total, int count, std::vector<int>& order) {
  order.resize(static_cast<std::size_t>(total));
  for (int i = 0; i < total; ++i) order[static_cast<std::size_t>(i)] = i;
  std::partial_sort(order.begin(), order.begin() + count, order.end(), [&](int a, int b) {
    const float va = values[static_cast<std::size_t>(a)], vb = values[static_cast<std::size_t>(b)];
    return va != vb ? va > vb : a < b;
  });
}

void mask_groups(const RouteRule& rule, Candidates& c) {
  const int size = rule.experts / rule.groups;
  for (int g = 0; g < rule.groups; ++g) {
    const float* begin = c.selection.data() + g * size;
    c.group[static_cast<std::size_t>(g)] = group_score(begin, begin + size, rule.group_score);
  }
  take_largest(c.group, rule.groups, rule.chosen_groups, c.order);
  for (int i = rule.chosen_groups; i < rule.groups; ++i) {
    const auto first = c.selection.begin() + c.order[static_cast<std::size_t>(i)] * size;
    std::fill(first, first + size, kLowest);
  }
}

void route_token(const float* logits, const float* bias, const RouteRule& rule, Candidates& c,
                 std::int32_t* chosen, float* weights) {
  score(logits, rule, c.weight.data());
  for (std::size_t e = 0; e < c.weight.size(); ++e)
    c.selection[e] = c.weight[e] + (bias ? bias[e] : 0.0f);
  if (rule.groups > 1) mask_groups(rule, c);
  take_largest(c.selection, rule.experts, rule.chosen, c.order);
  float sum = 0;
  for (int k = 0; k < rule.chosen; ++k) {
    chosen[k] = c.order[static_cast<std::size_t>(k)];
    sum += weights[k] = c.weight[static_cast<std::size_t>(chosen[k])];
  }
  for (int k = 0; k < rule.chosen; ++k) {
    if (rule.normalize == RouteRule::Normalize::yes) weights[k] /= sum + 1e-20f;
    weights[k] *= rule.scale;
  }
}

// With p the scores, n_k = p_k / (Σp + ε) where the rule normalizes, and weight_k = scale·n_k.
void route_gradient_of_token(const float* p, const RouteRule& rule, const std::int32_t* chosen,
                             const float* dweights, float* dp, float* dlogits) {
  const std::size_t experts = static_cast<std::size_t>(rule.experts),
                    count = static_cast<std::size_t>(rule.chosen);
  const bool normalized = rule.normalize == RouteRule::Normalize::yes;
  float sum = 0, along = 0;
  for (std::size_t k = 0; k < count; ++k) {
    sum += p[chosen[k]];
    along += dweights[k] * p[chosen[k]];
  }
  sum += 1e-20f;
  std::fill(dp, dp + experts, 0.0f);
  for (std::size_t k = 0; k < count; ++k) {
    dp[chosen[k]] = rule.scale * (normalized ? (dweights[k] - along / sum) / sum : dweights[k]);
  }
  if (rule.score == RouteRule::Score::sigmoid) {
    for (std::size_t e = 0; e < experts; ++e) dlogits[e] = dp[e] * p[e] * (1.0f - p[e]);
    return;
  }
  float mean = 0;
  for (std::size_t k = 0; k < count; ++k) mean += dp[chosen[k]] * p[chosen[k]];
  for (std::size_t e = 0; e < experts; ++e) dlogits[e] = p[e] * (dp[e] - mean);
}

}  // namespace

void CpuBackend::route(Tensor scores, const float* bias, const RouteRule& rule,
                       std::int32_t* chosen, float* weights) {
  pool_.parallel_for(scores.rows(), 8, [&](std::int64_t begin, std::int64_t end, int) {
    Candidates c;
    c.weight.resize(static_cast<std::size_t>(rule.experts));
    c.selection.resize(static_cast<std::size_t>(rule.experts));
    c.group.resize(static_cast<std::size_t>(rule.groups));
    for (std::int64_t t = begin; t < end; ++t) {
      route_token(scores.row(t), bias, rule, c, chosen + t * rule.chosen,
                  weights + t * rule.chosen);
    }
  });
}

void CpuGradients::route_gradient(Tensor scores, const RouteRule& rule, const std::int32_t* chosen,
                                  const float* /*weights*/, const float* dweights, Tensor dscores) {
  pool_.parallel_for(scores.rows(), 8, [&](std::int64_t begin, std::int64_t end, int) {
    std::vector<float> p(static_cast<std::size_t>(rule.experts)), dp(p.size());
    for (std::int64_t t = begin; t < end; ++t) {
      score(scores.row(t), rule, p.data());
      route_gradient_of_token(p.data(), rule, chosen + t * rule.chosen, dweights + t * rule.chosen,
                              dp.data(), dscores.row(t));
    }
  });
}

}  // namespace nautile
