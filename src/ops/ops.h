// ops.h — the operations a model is written in: they check shapes, make one call downstairs, and
// with a tape note how gradients flow back.
//
// Shapes in legend letters (DESIGN.md): T tokens, D width, H heads, E experts, K chosen experts.
// All results are F32 in ctx.scratch. A shape that does not fit throws Error(bad_input).
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "base/error.h"
#include "ops/context.h"

namespace nautile::ops {

// Rows of the table for tokens -> [T, D]. A token outside the table is an error.
Tensor embed(Context& ctx, const Weight& table, std::span<const std::int32_t> tokens);

// x [T, in], weight [out, in], bias [out] or null -> [T, out]. Weights of a quantized format give
// gradients to x and refuse one of their own.
struct LinearWeight {
  const Weight& weight;
  Vector bias = {};
};
Tensor linear(Context& ctx, Tensor x, const Weight& weight);
// Several weights on one x in one pass over it, results in order.
std::vector<Tensor> linears(Context& ctx, Tensor x, std::initializer_list<LinearWeight> weights);
// In F32 whatever the format: for routers, whose choices must not hang on rounding.
Tensor linear_exact(Context& ctx, Tensor x, const Weight& weight);

// Rows [begin, begin + count) of x times a weight, into the same rows of result `result`.
struct LinearPart {
  Tensor x;
  const Weight& weight;
  std::int64_t begin = 0, count = 0;
  std::size_t result = 0;
  const float* bias = nullptr;  // its gradient is the caller's
  std::uint32_t source = 0;     // whose rows: where the weight's gradient goes
};
// All parts in one pass: experts and what goes beside them. The parts of a result cover its rows.
std::vector<Tensor> grouped_linear(Context& ctx, std::span<const LinearPart> parts,
                                   std::span<const Shape> results);

// x [T, D], gain [D] -> [T, D], normalized by the root of the mean square
Tensor rms_norm(Context& ctx, Tensor x, Vector gain, float eps);

// Angles of rotary embedding: cos, sin [positions, half].
struct RopeTable {
  std::vector<float> cos, sin;
  std::int64_t half = 0;
  Backend::RopeOrder order = Backend::RopeOrder::pairs;

  std::int64_t positions() const { return half ? static_cast<std::int64_t>(cos.size()) / half : 0; }
};
// Uses x up: it is rotated where it lies, and returned. Rotates heads of x [T, …]: head h's rotary
// part starts at column + h·head_width.
Tensor rope(Context& ctx, Tensor x, std::int64_t column, std::int64_t head_width,
            std::int64_t heads, std::span<const std::int32_t> positions, const RopeTable& table);

// x [T, A + B] -> [T, A], [T, B]
struct Halves {
  Tensor left, right;
};
Halves split(Context& ctx, Tensor x, std::int64_t left);
// [T, A], [T, B] -> [T, A + B]
Tensor join(Context& ctx, Tensor left, Tensor right);
// Rows of x named by `index`, which ascends -> [n, D]
Tensor take_rows(Context& ctx, Tensor x, std::span<const std::int32_t> index);

// x as a row of `format` gives it back; its gradient passes through unchanged.
Tensor round_to(Context& ctx, Tensor x, Format format);

// silu(gate)·up, all [T, F]
Tensor silu_mul(Context& ctx, Tensor gate, Tensor up);
// a + b, of one shape
Tensor add(Context& ctx, Tensor a, Tensor b);
// factor·x
Tensor scale(Context& ctx, Tensor x, float factor);

// Attention of a batch that is its own past, causal inside each span of `starts` [S+1].
struct AttendDims {
  int query_heads = 0, kv_heads = 0, key_dims = 0, value_dims = 0;
  float scale = 1;
};
// MLA, expanded: q [T, H·(N+R)], kv [T, H·(N+V)], rope_key [T, R] -> [T, H·V]. key_dims is N+R.
Tensor attend_latent(Context& ctx, Tensor q, Tensor kv, Tensor rope_key, const AttendDims& dims,
                     std::span<const std::int32_t> starts);
// q [T, H·key_dims], k [T, Hkv·key_dims], v [T, Hkv·V] -> [T, H·V]
Tensor attend_grouped(Context& ctx, Tensor q, Tensor k, Tensor v, const AttendDims& dims,
                      std::span<const std::int32_t> starts);

// Experts of each token. chosen [T, K] in descending order of selection, weights [T, K].
struct Routing {
  std::span<std::int32_t> chosen;
  Tensor weights;
  int per_token() const { return static_cast<int>(weights.cols()); }
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

// Rows for the experts that this process has: d.rows as they are, or with ctx.experts what all
// ranks of the group have for them. All ranks of a group call it in the same order.
struct ExpertRows {
  Tensor rows;  // [R, D]
  // Rows [begin, begin + count) are for `expert`. They come from `source`: 0 is this process, k the
  // rank k places further round the group.
  struct Part {
    int expert = 0;
    std::int64_t begin = 0, count = 0;
    std::uint32_t source = 0;
  };
  std::vector<Part> parts;                // none is empty
  std::vector<std::int64_t> sent, given;  // rows to and from each rank of the group
};
ExpertRows to_experts(Context& ctx, const Dispatched& d);
// The way back: what experts made of `where.rows`, as d.rows lies.
Tensor from_experts(Context& ctx, Tensor rows, const ExpertRows& where, const Dispatched& d);
// out[t] + Σ_k weights[t, k]·rows[slot[t, k]]. Uses `out` up: the sum is made where it lies.
Tensor combine(Context& ctx, Tensor rows, const Dispatched& where, const Routing& routing,
               Tensor out);

// Sequence-wise balance loss (DeepSeek-V3 report eq. 17–20) of scores [T, E], the router's logits:
// Σ_i f_i·P_i per packed row of `rows` [B+1], averaged over the rows -> [1]. f counts the K largest
// scores without bias or groups and has no gradient.
Tensor balance_loss(Context& ctx, Tensor scores, const RouteRule& rule,
                    std::span<const std::int32_t> rows);
// x as it is; `loss` [1] joins the objective, tape.attached_scale times.
Tensor attach_loss(Context& ctx, Tensor x, Tensor loss);

// log softmax(x·headᵀ) at the targets -> [n], in chunks of rows, so that no [n, W] is ever held.
// x [n, D], head [W, D], targets [n]; a negative target gives 0 and no gradient.
Tensor log_prob(Context& ctx, Tensor x, const Weight& head, std::span<const std::int32_t> targets);
// Σ_i weights[i]·x[i] -> [1]
Tensor weighted_sum(Context& ctx, Tensor x, std::span<const float> weights);
// x [n] summed over each span of `bounds` [S+1], in order, in double -> [S]
Tensor span_sums(Context& ctx, Tensor x, std::span<const std::int32_t> bounds);
// log σ(x) = −log(1 + e^−x), element by element
Tensor log_sigmoid(Context& ctx, Tensor x);
// −Σ_i weights[i]·log_prob[i] / total -> [1]
Tensor cross_entropy(Context& ctx, Tensor x, const Weight& head,
                     std::span<const std::int32_t> targets, std::span<const float> weights,
                     double total);

// out = f(ctx, x), shaped like x, with f's scratch given back. Without a tape the result is written
// over x. With one, f is computed again on the way back unless the tape keeps everything: f must be
// the same function then, what it refers to alive, its only value with a gradient x, and x not used
// up.
using Block = std::function<Tensor(Context&, Tensor)>;
Tensor recompute(Context& ctx, Tensor x, Block f);

}  // namespace nautile::ops
