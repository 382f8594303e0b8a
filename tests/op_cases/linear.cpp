// linear.cpp — cases of embeddings, weight products and what is fused with the head.
#include <cmath>
#include <memory>

#include "tests/op_cases/op_case.h"

namespace nautile::testing {
namespace {

constexpr OpInput::Kind kParameter = OpInput::Kind::parameter;

std::size_t at(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

// rows of x [.., in] times w [out, in], added to y [.., out].
void add_product(const double* x, const double* w, std::int64_t in, std::int64_t out, double* y) {
  for (std::int64_t o = 0; o < out; ++o) {
    for (std::int64_t i = 0; i < in; ++i) y[o] += x[i] * w[o * in + i];
  }
}

std::shared_ptr<std::vector<std::int32_t>> some_tokens(std::int64_t count, std::int64_t W) {
  auto tokens = std::make_shared<std::vector<std::int32_t>>();
  for (std::int64_t t = 0; t < count; ++t)
    tokens->push_back(static_cast<std::int32_t>((t * t + 3 * t) % W));
  return tokens;
}

OpCase embed(std::int64_t T, std::int64_t W, std::int64_t D) {
  auto tokens = some_tokens(T, W);
  return {
      .name = "embed",
      .inputs = {{"table", {W, D}, kParameter}},
      .run = [=](Context& ctx, const OpArguments& a) { return ops::embed(ctx, a.w(0), *tokens); },
      .formula =
          [=](const std::vector<Numbers>& in) {
            Numbers y;
            for (std::int32_t token : *tokens) {
              for (std::int64_t i = 0; i < D; ++i) y.push_back(in[0][at(token * D + i)]);
            }
            return y;
          },
      .terms = T};
}

OpCase linear(std::int64_t T, std::int64_t in, std::int64_t out) {
  return {
      .name = "linear",
      .inputs = {{"x", {T, in}}, {"w", {out, in}, kParameter}},
      .run = [](Context& ctx, const OpArguments& a) { return ops::linear(ctx, a.x(0), a.w(1)); },
      .formula =
          [=](const std::vector<Numbers>& v) {
            Numbers y(at(T * out));
            for (std::int64_t t = 0; t < T; ++t)
              add_product(&v[0][at(t * in)], v[1].data(), in, out, &y[at(t * out)]);
            return y;
          },
      .terms = in + out + T,
      .flops = 2.0 * static_cast<double>(T * in * out)};
}

// A weight with an adapter of rank r: x·wᵀ + s·(x·aᵀ)·bᵀ.
OpCase adapted_linear(std::int64_t T, std::int64_t in, std::int64_t out, std::int64_t r) {
  constexpr float kScale = 0.5f;
  // The weight must live as long as the tape; each run fills it anew.
  const auto held = std::make_shared<std::pair<Weight, LowRank>>();
  return {.name = "linear with adapter",
          .inputs = {{"x", {T, in}},
                     {"w", {out, in}, kParameter},
                     {"a", {r, in}, kParameter},
                     {"b", {out, r}, kParameter}},
          .run =
              [held](Context& ctx, const OpArguments& v) {
                held->second = {&v.w(2), &v.w(3), kScale};
                held->first = v.w(1);
                held->first.adapter = &held->second;
                return ops::linear(ctx, v.x(0), held->first);
              },
          .formula =
              [=](const std::vector<Numbers>& v) {
                Numbers y(at(T * out));
                for (std::int64_t t = 0; t < T; ++t) {
                  add_product(&v[0][at(t * in)], v[1].data(), in, out, &y[at(t * out)]);
                  Numbers low(at(r)), more(at(out));
                  add_product(&v[0][at(t * in)], v[2].data(), in, r, low.data());
                  add_product(low.data(), v[3].data(), r, out, more.data());
                  for (std::int64_t o = 0; o < out; ++o) y[at(t * out + o)] += kScale * more[at(o)];
                }
                return y;
              },
          .terms = in + out + T + r * in,
          .flops = 2.0 * static_cast<double>(T * (in * out + r * (in + out)))};
}

// Two weights on one x, one with a bias, joined.
OpCase linears(std::int64_t T, std::int64_t in, std::int64_t out) {
  return {.name = "linears with bias",
          .inputs = {{"x", {T, in}},
                     {"v", {out, in}, kParameter},
                     {"w", {out + 1, in}, kParameter},
                     {"bias", {out + 1}, kParameter}},
          .run =
              [](Context& ctx, const OpArguments& a) {
                const auto y = ops::linears(ctx, a.x(0), {{a.w(1)}, {a.w(2), a.vector(3)}});
                return ops::join(ctx, y[0], y[1]);
              },
          .formula =
              [=](const std::vector<Numbers>& v) {
                const std::int64_t all = 2 * out + 1;
                Numbers y(at(T * all));
                for (std::int64_t t = 0; t < T; ++t) {
                  add_product(&v[0][at(t * in)], v[1].data(), in, out, &y[at(t * all)]);
                  add_product(&v[0][at(t * in)], v[2].data(), in, out + 1, &y[at(t * all + out)]);
                  for (std::int64_t i = 0; i <= out; ++i) y[at(t * all + out + i)] += v[3][at(i)];
                }
                return y;
              },
          .terms = in + 2 * out + T,
          .flops = 2.0 * static_cast<double>(T * in * (2 * out + 1))};
}

OpCase linear_exact(std::int64_t T, std::int64_t in, std::int64_t out) {
  OpCase op = linear(T, in, out);
  op.name = "linear_exact";
  op.run = [](Context& ctx, const OpArguments& a) {
    return ops::linear_exact(ctx, a.x(0), a.w(1));
  };
  return op;
}

// Three experts on 0, most and the rest of the rows; beside them one weight on all rows of x.
OpCase grouped_linear(std::int64_t T, std::int64_t in, std::int64_t out) {
  const std::int64_t cut = T * 2 / 3;
  return {.name = "grouped_linear",
          .inputs = {{"x", {T, in}},
                     {"first", {out, in}, kParameter},
                     {"second", {out, in}, kParameter},
                     {"third", {out, in}, kParameter},
                     {"beside", {out, in}, kParameter}},
          .run =
              [=](Context& ctx, const OpArguments& a) {
                const std::vector<ops::LinearPart> parts{{a.x(0), a.w(1), 0, 0, 0},
                                                         {a.x(0), a.w(2), 0, cut, 0},
                                                         {a.x(0), a.w(3), cut, T - cut, 0},
                                                         {a.x(0), a.w(4), 0, T, 1}};
                const Shape shapes[2]{{T, out}, {T, out}};
                const auto y = ops::grouped_linear(ctx, parts, shapes);
                return ops::add(ctx, y[0], y[1]);
              },
          .formula =
              [=](const std::vector<Numbers>& v) {
                Numbers y(at(T * out));
                for (std::int64_t t = 0; t < T; ++t) {
                  const double* x = &v[0][at(t * in)];
                  add_product(x, v[t < cut ? 2 : 3].data(), in, out, &y[at(t * out)]);
                  add_product(x, v[4].data(), in, out, &y[at(t * out)]);
                }
                return y;
              },
          .terms = 2 * in + 2 * out + T,
          .flops = 4.0 * static_cast<double>(T * in * out)};
}

Numbers log_probs(const Numbers& x, const Numbers& head, const std::vector<std::int32_t>& targets,
                  std::int64_t D, std::int64_t W) {
  Numbers y;
  for (std::size_t t = 0; t < targets.size(); ++t) {
    Numbers z(at(W));
    add_product(&x[t * at(D)], head.data(), D, W, z.data());
    double sum = 0;
    for (double value : z) sum += std::exp(value);
    y.push_back(targets[t] < 0 ? 0 : z[at(targets[t])] - std::log(sum));
  }
  return y;
}

OpCase log_prob(std::int64_t T, std::int64_t D, std::int64_t W) {
  auto targets = some_tokens(T, W);
  (*targets)[1] = -1;
  return {.name = "log_prob",
          .inputs = {{"x", {T, D}}, {"head", {W, D}, kParameter, 0.3}},
          .run = [=](Context& ctx,
                     const OpArguments& a) { return ops::log_prob(ctx, a.x(0), a.w(1), *targets); },
          .formula =
              [=](const std::vector<Numbers>& v) { return log_probs(v[0], v[1], *targets, D, W); },
          .terms = D + W + T,
          .flops = 2.0 * static_cast<double>(T * D * W)};
}

OpCase cross_entropy(std::int64_t T, std::int64_t D, std::int64_t W) {
  auto targets = some_tokens(T, W);
  auto weights = std::make_shared<std::vector<float>>();
  double total = 0;
  for (std::int64_t t = 0; t < T; ++t) {
    weights->push_back(static_cast<float>(t % 3));
    total += static_cast<double>(t % 3);
  }
  return {.name = "cross_entropy",
          .inputs = {{"x", {T, D}}, {"head", {W, D}, kParameter, 0.3}},
          .run =
              [=](Context& ctx, const OpArguments& a) {
                return ops::cross_entropy(ctx, a.x(0), a.w(1), *targets, *weights, total);
              },
          .formula =
              [=](const std::vector<Numbers>& v) {
                const Numbers y = log_probs(v[0], v[1], *targets, D, W);
                double sum = 0;
                for (std::size_t t = 0; t < y.size(); ++t)
                  sum -= static_cast<double>((*weights)[t]) * y[t] / total;
                return Numbers{sum};
              },
          .terms = D + W + T,
          .flops = 2.0 * static_cast<double>(T * D * W)};
}

}  // namespace

std::vector<OpCase> linear_op_cases(OpSize size) {
  if (size == OpSize::small) {
    return {embed(9, 7, 5),         linear(11, 13, 18),
            linears(5, 9, 4),       adapted_linear(7, 9, 12, 3),
            linear_exact(6, 17, 5), grouped_linear(9, 7, 5),
            log_prob(8, 6, 21),     cross_entropy(9, 5, 33)};
  }
  return {embed(8192, 512, 256),          linear(8192, 256, 704),
          linears(8192, 256, 96),         linear_exact(8192, 256, 16),
          grouped_linear(8192, 256, 160), log_prob(8192, 256, 512),
          cross_entropy(8192, 256, 512),  adapted_linear(8192, 256, 704, 16)};
}

}  // namespace nautile::testing
