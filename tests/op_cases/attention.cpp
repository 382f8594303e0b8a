// attention.cpp — cases of attention over a batch that is its own past.
#include <cmath>
#include <memory>

#include "tests/op_cases/op_case.h"

namespace nautile::testing {
namespace {

std::size_t at(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

using Starts = std::vector<std::int32_t>;

// Attention in double. key(t, h, i) and value(t, h, i) are of query head h.
template <class Key, class Value>
Numbers attention(const Numbers& q, const ops::AttendDims& d, const Starts& starts, Key key,
                  Value value) {
  const std::int64_t H = d.query_heads, K = d.key_dims, V = d.value_dims;
  Numbers y(at(starts.back() * H * V));
  for (std::size_t s = 0; s + 1 < starts.size(); ++s) {
    for (std::int64_t t = starts[s]; t < starts[s + 1]; ++t) {
      for (std::int64_t h = 0; h < H; ++h) {
        double sum = 0;
        Numbers mixed(at(V));
        for (std::int64_t j = starts[s]; j <= t; ++j) {
          double score = 0;
          for (std::int64_t i = 0; i < K; ++i) score += q[at((t * H + h) * K + i)] * key(j, h, i);
          const double p = std::exp(score * static_cast<double>(d.scale));
          sum += p;
          for (std::int64_t i = 0; i < V; ++i) mixed[at(i)] += p * value(j, h, i);
        }
        for (std::int64_t i = 0; i < V; ++i) y[at((t * H + h) * V + i)] = mixed[at(i)] / sum;
      }
    }
  }
  return y;
}

double attention_flops(const ops::AttendDims& d, const Starts& starts) {
  double pairs = 0;
  for (std::size_t s = 0; s + 1 < starts.size(); ++s) {
    const double n = starts[s + 1] - starts[s];
    pairs += n * (n + 1) / 2;
  }
  return 2 * pairs * d.query_heads * (d.key_dims + d.value_dims);
}

OpCase latent(const Starts& spans, int heads, int plain, int rotated, int value_dims) {
  auto starts = std::make_shared<Starts>(spans);
  const std::int64_t T = spans.back(), H = heads, N = plain, R = rotated, V = value_dims;
  const ops::AttendDims dims{heads, heads, plain + rotated, value_dims, 0.3f};
  return {.name = "attend_latent",
          .inputs = {{"q", {T, H * (N + R)}}, {"kv", {T, H * (N + V)}}, {"rope_key", {T, R}}},
          .run =
              [=](Context& ctx, const OpArguments& a) {
                return ops::attend_latent(ctx, a.x(0), a.x(1), a.x(2), dims, *starts);
              },
          .formula =
              [=](const std::vector<Numbers>& in) {
                return attention(
                    in[0], dims, *starts,
                    [&](std::int64_t t, std::int64_t h, std::int64_t i) {
                      return i < N ? in[1][at((t * H + h) * (N + V) + i)]
                                   : in[2][at(t * R + i - N)];
                    },
                    [&](std::int64_t t, std::int64_t h, std::int64_t i) {
                      return in[1][at((t * H + h) * (N + V) + N + i)];
                    });
              },
          .terms = (N + R) * H + T,
          .flops = attention_flops(dims, spans)};
}

OpCase grouped(const Starts& spans, int heads, int kv_heads, int key_dims, int value_dims) {
  auto starts = std::make_shared<Starts>(spans);
  const std::int64_t T = spans.back(), K = key_dims, V = value_dims, kv = kv_heads;
  const std::int64_t group = heads / kv_heads;
  const ops::AttendDims dims{heads, kv_heads, key_dims, value_dims, 0.3f};
  return {.name = "attend_grouped",
          .inputs = {{"q", {T, heads * K}}, {"k", {T, kv * K}}, {"v", {T, kv * V}}},
          .run =
              [=](Context& ctx, const OpArguments& a) {
                return ops::attend_grouped(ctx, a.x(0), a.x(1), a.x(2), dims, *starts);
              },
          .formula =
              [=](const std::vector<Numbers>& in) {
                return attention(
                    in[0], dims, *starts,
                    [&](std::int64_t t, std::int64_t h, std::int64_t i) {
                      return in[1][at((t * kv + h / group) * K + i)];
                    },
                    [&](std::int64_t t, std::int64_t h, std::int64_t i) {
                      return in[2][at((t * kv + h / group) * V + i)];
                    });
              },
          .terms = K * group + T,
          .flops = attention_flops(dims, spans)};
}

}  // namespace

std::vector<OpCase> attention_op_cases(OpSize size) {
  if (size == OpSize::small) {
    return {latent({0, 3, 3, 11}, 2, 5, 4, 3), grouped({0, 7, 9}, 4, 2, 6, 5),
            latent({0, 70}, 1, 3, 2, 3)};
  }
  Starts spans;
  for (std::int32_t t = 0; t <= 8192; t += 256) spans.push_back(t);
  return {latent(spans, 4, 32, 16, 32), grouped(spans, 4, 2, 64, 64)};
}

}  // namespace nautile::testing
