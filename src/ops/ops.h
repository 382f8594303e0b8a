// ops.h — the operations a model is written in: they check shapes, then make one call downstairs.
//
// Shapes in legend letters (DESIGN.md): T tokens, D width, H heads, E experts, K chosen experts.
// All results are F32 in ctx.scratch. A shape that does not fit throws Error(bad_input).
#pragma once

#include <algorithm>
#include <initializer_list>
#include <vector>

#include "base/error.h"
#include "ops/context.h"

namespace nautile::ops {

// Rows of the table for tokens -> [T, D]. A token outside the table is an error.
Tensor embed(Context& ctx, const Weight& table, std::span<const std::int32_t> tokens);

// x [T, in], weight [out, in], bias [out] or null -> [T, out]
struct LinearWeight {
  const Weight& weight;
  const float* bias = nullptr;
};
Tensor linear(Context& ctx, Tensor x, const Weight& weight);
// Several weights on one x in one pass over it, results in order.
std::vector<Tensor> linears(Context& ctx, Tensor x, std::initializer_list<LinearWeight> weights);
// In F32 whatever the format: for routers, whose choices must not hang on rounding.
Tensor linear_exact(Context& ctx, Tensor x, const Weight& weight);

// x [T, D], gain [D] -> [T, D], normalized by the root of the mean square
Tensor rms_norm(Context& ctx, Tensor x, const float* gain, float eps);
// In place on `width` columns from `column` of each row.
void rms_norm_columns(Context& ctx, Tensor x, std::int64_t column, std::int64_t width,
                      const float* gain, float eps);

// Angles of rotary embedding: cos, sin [positions, half].
struct RopeTable {
  std::vector<float> cos, sin;
  std::int64_t half = 0;
  Backend::RopeOrder order = Backend::RopeOrder::pairs;

  std::int64_t positions() const { return half ? static_cast<std::int64_t>(cos.size()) / half : 0; }
};
// In place on heads of x [T, …]: head h's rotary part starts at column + h·head_width.
void rope(Context& ctx, Tensor x, std::int64_t column, std::int64_t head_width, std::int64_t heads,
          std::span<const std::int32_t> positions, const RopeTable& table);

// silu(gate)·up, all [T, F]
Tensor silu_mul(Context& ctx, Tensor gate, Tensor up);
// a + b, all [T, D]
Tensor add(Context& ctx, Tensor a, Tensor b);

// Experts of each token. chosen [T, K] in descending order of selection, weights [T, K].
struct Routing {
  std::span<std::int32_t> chosen;
  std::span<float> weights;
  int per_token = 0;  // K
};
Routing route(Context& ctx, Tensor scores, const float* bias, const RouteRule& rule);

// Rows grouped by expert: rows of expert e are [begin[e], begin[e+1]) of rows [T·K, D]; slot [T, K]
// says where token t's k-th copy lies.
struct Dispatched {
  Tensor rows;
  std::span<std::int32_t> begin;  // [E+1]
  std::span<std::int32_t> slot;   // [T, K]
};
Dispatched dispatch(Context& ctx, Tensor x, const Routing& routing, int experts);
// out[t] += Σ_k weights[t, k]·rows[slot[t, k]]
void combine(Context& ctx, Tensor rows, const Dispatched& where, const Routing& routing,
             Tensor out);

// out = f(x), with only x and out left in memory: f's scratch is given back and the result is
// written over x. Returns x.
template <class F>
Tensor recompute(Context& ctx, Tensor x, F&& f) {
  Arena::Scope scope(ctx.scratch);
  const Tensor y = f(x);
  NAUTILE_ASSERT(y.shape == x.shape, "recompute: {} became {}", x.shape, y.shape);
  std::copy(y.data, y.data + y.elements(), x.data);
  return x;
}

}  // namespace nautile::ops
