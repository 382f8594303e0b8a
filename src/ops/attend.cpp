// attend.cpp — attention of a batch that is its own past, with its gradient.
//
// p = softmax(scale·q·kᵀ) over the keys at or before the query in its span; y = p·v.
// With δ = y·dy:  dv = pᵀ·dy,  ds = p∘(dy·vᵀ − δ)·scale,  dq = ds·k,  dk = dsᵀ·q
// (Dao et al. 2022, algorithm 4): p is computed again from the kept log-sum-exp.
#include "ops/ops.h"

namespace nautile::ops {
namespace {

void check_starts(Tensor q, std::span<const std::int32_t> starts) {
  NAUTILE_CHECK(!starts.empty() && starts.front() == 0 && starts.back() == q.rows(),
                "attend: spans end at {} of {} rows", starts.empty() ? 0 : starts.back(), q.rows());
}

std::size_t index(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

// Runs `a`; `pull_back` gets out and lse.
template <class PullBackOf>
Tensor attend(Context& ctx, const FreshAttention& a, std::int64_t rows, PullBackOf pull_back_of) {
  Tensor out = make_tensor(ctx.scratch, {rows, a.query_heads * a.value_dims});
  Tensor lse{};
  if (ctx.tape) lse = make_tensor(ctx.scratch, {rows, a.query_heads});
  ctx.backend.attend_fresh(a, out.data, lse.data);
  if (!ctx.tape) return out;
  out = ctx.tape->name(out);
  ctx.tape->record({out}, pull_back_of(out, lse));
  return out;
}

}  // namespace

Tensor attend_latent(Context& ctx, Tensor q, Tensor kv, Tensor rope_key, const AttendDims& dims,
                     std::span<const std::int32_t> starts) {
  const std::int64_t plain = dims.key_dims - rope_key.cols(), V = dims.value_dims;
  NAUTILE_CHECK(q.cols() == dims.query_heads * dims.key_dims && plain >= 0 &&
                    kv.cols() == dims.kv_heads * (plain + V) && kv.rows() == q.rows() &&
                    rope_key.rows() == q.rows(),
                "attend: q is {}, kv {}, rope_key {}", q.shape, kv.shape, rope_key.shape);
  check_starts(q, starts);
  const std::size_t row = index(kv.cols()), head = index(plain + V);
  const FreshAttention a{.q = q.data,
                         .k = kv.data,
                         .v = kv.data + plain,
                         .shared_key = rope_key.data,
                         .k_stride = row,
                         .k_head = head,
                         .v_stride = row,
                         .v_head = head,
                         .query_heads = dims.query_heads,
                         .kv_heads = dims.kv_heads,
                         .key_dims = dims.key_dims,
                         .value_dims = dims.value_dims,
                         .shared_dims = static_cast<int>(rope_key.cols()),
                         .scale = dims.scale,
                         .starts = starts};
  return attend(ctx, a, q.rows(), [&](Tensor out, Tensor lse) -> PullBack {
    return [a, q, kv, rope_key, plain, out, lse](Context& back, Gradients& gradients) {
      const Tensor dout = gradients.take(out), dq = gradients.make(back, q.shape),
                   dkv = gradients.make(back, kv.shape),
                   dkey = gradients.make(back, rope_key.shape);
      back.backend.gradients().attend_fresh_gradient(
          a, out.data, lse.data, dout.data, {dq.data, dkv.data, dkv.data + plain, dkey.data});
      gradients.release(dout);
      gradients.give(back, q, dq);
      gradients.give(back, kv, dkv);
      gradients.give(back, rope_key, dkey);
    };
  });
}

Tensor attend_grouped(Context& ctx, Tensor q, Tensor k, Tensor v, const AttendDims& dims,
                      std::span<const std::int32_t> starts) {
  NAUTILE_CHECK(q.cols() == dims.query_heads * dims.key_dims &&
                    k.cols() == dims.kv_heads * dims.key_dims &&
                    v.cols() == dims.kv_heads * dims.value_dims && k.rows() == q.rows() &&
                    v.rows() == q.rows(),
                "attend: q is {}, k {}, v {}", q.shape, k.shape, v.shape);
  check_starts(q, starts);
  const FreshAttention a{.q = q.data,
                         .k = k.data,
                         .v = v.data,
                         .k_stride = index(k.cols()),
                         .k_head = index(dims.key_dims),
                         .v_stride = index(v.cols()),
                         .v_head = index(dims.value_dims),
                         .query_heads = dims.query_heads,
                         .kv_heads = dims.kv_heads,
                         .key_dims = dims.key_dims,
                         .value_dims = dims.value_dims,
                         .scale = dims.scale,
                         .starts = starts};
  return attend(ctx, a, q.rows(), [&](Tensor out, Tensor lse) -> PullBack {
    return [a, q, k, v, out, lse](Context& back, Gradients& gradients) {
      const Tensor dout = gradients.take(out), dq = gradients.make(back, q.shape),
                   dk = gradients.make(back, k.shape), dv = gradients.make(back, v.shape);
      back.backend.gradients().attend_fresh_gradient(a, out.data, lse.data, dout.data,
                                                     {dq.data, dk.data, dv.data, nullptr});
      gradients.release(dout);
      gradients.give(back, q, dq);
      gradients.give(back, k, dk);
      gradients.give(back, v, dv);
    };
  });
}

}  // namespace nautile::ops
