// experts.cpp — cases of the mixture of experts.
#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include "tests/op_cases/op_case.h"

namespace nautile::testing {
namespace {

std::size_t at(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

// Affinities of one token's scores.
Numbers affinities(const double* scores, const RouteRule& rule) {
  Numbers s(at(rule.experts));
  double sum = 0;
  for (std::size_t e = 0; e < s.size(); ++e) {
    s[e] = rule.score == RouteRule::Score::sigmoid ? 1 / (1 + std::exp(-scores[e]))
                                                   : std::exp(scores[e]);
    sum += s[e];
  }
  if (rule.score == RouteRule::Score::softmax) {
    for (double& value : s) value /= sum;
  }
  return s;
}

std::vector<std::size_t> largest(const Numbers& values, int count) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return values[a] > values[b]; });
  order.resize(at(count));
  return order;
}

OpCase route(const std::string& name, const RouteRule& rule, std::int64_t T) {
  return {
      .name = name,
      .inputs = {{"scores", {T, rule.experts}}},
      .run = [=](Context& ctx,
                 const OpArguments& a) { return ops::route(ctx, a.x(0), nullptr, rule).weights; },
      .formula =
          [=](const std::vector<Numbers>& in) {
            Numbers y;
            for (std::int64_t t = 0; t < T; ++t) {
              const Numbers s = affinities(&in[0][at(t * rule.experts)], rule);
              const std::vector<std::size_t> chosen = largest(s, rule.chosen);
              double sum = 1;
              if (rule.normalize == RouteRule::Normalize::yes) {
                sum = 0;
                for (std::size_t e : chosen) sum += s[e];
              }
              for (std::size_t e : chosen)
                y.push_back(s[e] / sum * static_cast<double>(rule.scale));
            }
            return y;
          },
      .terms = rule.experts,
      .flops = 8.0 * static_cast<double>(T * rule.experts)};
}

// The whole way of a token: route, dispatch, one weight per expert, combine onto what is there.
OpCase mixture(std::int64_t T, std::int64_t D, const RouteRule& rule) {
  std::vector<OpInput> inputs{{"x", {T, D}}, {"scores", {T, rule.experts}}, {"out", {T, D}}};
  for (int e = 0; e < rule.experts; ++e)
    inputs.push_back({fmt::format("expert {}", e), {D, D}, OpInput::Kind::parameter, 0.4});
  return {.name = "route, dispatch, grouped_linear, combine",
          .inputs = inputs,
          .run =
              [=](Context& ctx, const OpArguments& a) {
                const ops::Routing routing = ops::route(ctx, a.x(1), nullptr, rule);
                const ops::Dispatched d = ops::dispatch(ctx, a.x(0), routing, rule.experts);
                std::vector<ops::LinearPart> parts;
                for (std::size_t e = 0; e < at(rule.experts); ++e)
                  parts.push_back({d.rows, a.w(3 + e), d.begin[e], d.begin[e + 1] - d.begin[e], 0});
                const Shape shape = d.rows.shape;
                const Tensor rows = ops::grouped_linear(ctx, parts, {&shape, 1})[0];
                return ops::combine(ctx, rows, d, routing, a.x(2));
              },
          .formula =
              [=](const std::vector<Numbers>& in) {
                Numbers y = in[2];
                for (std::int64_t t = 0; t < T; ++t) {
                  const Numbers s = affinities(&in[1][at(t * rule.experts)], rule);
                  const std::vector<std::size_t> chosen = largest(s, rule.chosen);
                  double sum = 0;
                  for (std::size_t e : chosen) sum += s[e];
                  for (std::size_t e : chosen) {
                    for (std::int64_t o = 0; o < D; ++o) {
                      double dot = 0;
                      for (std::int64_t i = 0; i < D; ++i)
                        dot += in[0][at(t * D + i)] * in[3 + e][at(o * D + i)];
                      y[at(t * D + o)] += s[e] / sum * static_cast<double>(rule.scale) * dot;
                    }
                  }
                }
                return y;
              },
          .terms = 2 * D + T + rule.experts,
          .flops = 2.0 * static_cast<double>(T * rule.chosen * D * D)};
}

// f depends on the choice alone: it is taken from the scores as they are, like the op's.
Numbers balance(const Numbers& scores, const Numbers& choosing, const RouteRule& rule,
                const std::vector<std::int32_t>& rows) {
  const std::size_t E = at(rule.experts);
  double loss = 0;
  for (std::size_t b = 0; b + 1 < rows.size(); ++b) {
    Numbers f(E), P(E);
    const double T = rows[b + 1] - rows[b];
    for (std::int64_t t = rows[b]; t < rows[b + 1]; ++t) {
      const Numbers s = affinities(&scores[at(t) * E], rule);
      const double sum = std::accumulate(s.begin(), s.end(), 0.0);
      for (std::size_t e = 0; e < E; ++e) P[e] += s[e] / sum / T;
      for (std::size_t e : largest(affinities(&choosing[at(t) * E], rule), rule.chosen))
        f[e] += static_cast<double>(E) / (rule.chosen * T);
    }
    for (std::size_t e = 0; e < E; ++e) loss += f[e] * P[e];
  }
  return {loss / static_cast<double>(rows.size() - 1)};
}

OpCase balance_loss(const RouteRule& rule, const std::vector<std::int32_t>& bounds) {
  auto rows = std::make_shared<std::vector<std::int32_t>>(bounds);
  return {
      .name =
          rule.score == RouteRule::Score::sigmoid ? "balance_loss sigmoid" : "balance_loss softmax",
      .inputs = {{"scores", {bounds.back(), rule.experts}}},
      .run = [=](Context& ctx,
                 const OpArguments& a) { return ops::balance_loss(ctx, a.x(0), rule, *rows); },
      .formula = [=](const std::vector<Numbers>& in) { return balance(in[0], in[0], rule, *rows); },
      .terms = bounds.back(),
      .flops = 10.0 * static_cast<double>(bounds.back() * rule.experts)};
}

// The attached loss reaches x's own input through the objective.
OpCase attach_loss(std::int64_t T) {
  auto weights = std::make_shared<std::vector<float>>(at(T), 1.0f);
  return {.name = "attach_loss, weighted_sum",
          .inputs = {{"x", {T}}, {"loss", {1}}},
          .run =
              [=](Context& ctx, const OpArguments& a) {
                const Tensor y = ops::attach_loss(ctx, a.x(0), a.x(1));
                return ops::weighted_sum(ctx, y, *weights);
              },
          .formula =
              [](const std::vector<Numbers>& in) {
                return Numbers{std::accumulate(in[0].begin(), in[0].end(), 0.0)};
              },
          .terms = T};
}

}  // namespace

std::vector<OpCase> expert_op_cases(OpSize size) {
  const RouteRule sigmoid{.score = RouteRule::Score::sigmoid,
                          .normalize = RouteRule::Normalize::yes,
                          .experts = size == OpSize::small ? 6 : 16,
                          .chosen = size == OpSize::small ? 2 : 4,
                          .scale = 2.5f};
  RouteRule softmax = sigmoid, plain = sigmoid;
  softmax.score = RouteRule::Score::softmax;
  plain.score = RouteRule::Score::softmax;
  plain.normalize = RouteRule::Normalize::no;
  const std::int64_t T = size == OpSize::small ? 7 : 8192;
  const std::vector<std::int32_t> rows = size == OpSize::small
                                             ? std::vector<std::int32_t>{0, 4, 9}
                                             : std::vector<std::int32_t>{0, 4096, 8192};
  return {route("route sigmoid", sigmoid, T),
          route("route softmax normalized", softmax, T),
          route("route softmax", plain, T),
          mixture(T, size == OpSize::small ? 5 : 256, sigmoid),
          balance_loss(sigmoid, rows),
          balance_loss(softmax, rows),
          attach_loss(T)};
}

}  // namespace nautile::testing
