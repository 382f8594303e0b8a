#include "model/attention.h"

namespace nautile {
namespace {

std::size_t index(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

// Span s of the batch with its cached rows.
QuerySpan query_span(const Batch& batch, const LayerKv& kv, std::int64_t s) {
  const std::int32_t first = batch.starts[index(s)];
  const std::int64_t count = batch.starts[index(s + 1)] - first;
  return {first, count, count ? batch.positions[index(first)] : 0, kv.sequence[index(s)],
          kv.sequence[index(s)]};
}

// Per-head weights of MLA, from either form of the checkpoint.
struct HeadWeights {
  const AttentionConfig& a;
  const MlaWeights& w;

  bool split() const { return w.key_up.present(); }
  // keys = latent · keyᵀ; split checkpoints have it transposed [C, N], kv_up as it is [N, C].
  MatrixView key(std::int64_t head) const {
    if (split()) return matrix(w.key_up.weight, head);
    return matrix(w.kv_up.weight).slice(head * (a.plain_dims + a.value_dims), a.plain_dims);
  }
  MatrixView value(std::int64_t head) const {
    if (split()) return matrix(w.value_up.weight, head);
    return matrix(w.kv_up.weight)
        .slice(head * (a.plain_dims + a.value_dims) + a.plain_dims, a.value_dims);
  }
};

// q_nope [T, H, N] of q [T, H·(N+R)] into the latent space -> queries [T, H, C+R] with the rotated
// part behind.
Tensor absorb_queries(Context& ctx, const HeadWeights& heads, Tensor q) {
  const AttentionConfig& a = heads.a;
  const std::int64_t H = a.heads, N = a.plain_dims, R = a.rope_dims, C = a.kv_rank;
  Tensor latent = make_tensor(ctx.scratch, {q.rows(), H, C + R});
  std::vector<Product> products;
  for (std::int64_t h = 0; h < H; ++h) {
    products.push_back({.w = heads.key(h),
                        .x = q.data + h * (N + R),
                        .x_stride = index(H * (N + R)),
                        .m = q.rows(),
                        .y = latent.data + h * (C + R),
                        .y_stride = index(H * (C + R))});
  }
  if (heads.split()) {
    ctx.backend.products(products, std::nullopt);
  } else {
    ctx.backend.products_transposed(products);
  }
  for (std::int64_t i = 0; i < q.rows() * H; ++i) {
    std::copy_n(q.data + i * (N + R) + N, R, latent.data + i * (C + R) + C);
  }
  return latent;
}

// Attention over the latents themselves: all heads share one key [C+R] whose first C are the value.
void attend_absorbed(Context& ctx, const HeadWeights& heads, Tensor q,
                     std::span<const QuerySpan> spans, Format format, Tensor out) {
  const AttentionConfig& a = heads.a;
  Arena::Scope scope(ctx.scratch);
  const Tensor queries = absorb_queries(ctx, heads, q);
  const Tensor mixed = make_tensor(ctx.scratch, {q.rows(), a.heads, a.kv_rank});
  const AttendShape shape{.query_heads = a.heads,
                          .kv_heads = 1,
                          .key_dims = a.kv_rank + a.rope_dims,
                          .value_dims = a.kv_rank,
                          .key_format = format,
                          .value_format = format,
                          .scale = a.softmax_scale};
  ctx.backend.attend(queries.data, spans, shape, mixed.data);
  std::vector<Product> products;
  for (std::int64_t h = 0; h < a.heads; ++h) {
    products.push_back({.w = heads.value(h),
                        .x = mixed.data + h * a.kv_rank,
                        .x_stride = index(a.heads * a.kv_rank),
                        .m = q.rows(),
                        .y = out.data + h * a.value_dims,
                        .y_stride = index(a.heads * a.value_dims)});
  }
  ctx.backend.products(products, std::nullopt);
}

// Keys and values of heads [first, first + count) for all cached positions of one span.
struct Expanded {
  Tensor keys;    // [P, count, N+R]
  Tensor values;  // [P, count, V]
};

Expanded expand(Context& ctx, const HeadWeights& heads, Tensor latents, std::int64_t first,
                std::int64_t count) {
  const AttentionConfig& a = heads.a;
  const std::int64_t P = latents.rows(), N = a.plain_dims, R = a.rope_dims, V = a.value_dims,
                     C = a.kv_rank;
  Expanded e{make_tensor(ctx.scratch, {P, count, N + R}), make_tensor(ctx.scratch, {P, count, V})};
  std::vector<Product> keys, values;
  for (std::int64_t h = 0; h < count; ++h) {
    const Product input{.w = {}, .x = latents.data, .x_stride = index(C + R), .m = P};
    keys.push_back(input);
    keys.back().w = heads.key(first + h);
    keys.back().y = e.keys.data + h * (N + R);
    keys.back().y_stride = index(count * (N + R));
    values.push_back(input);
    values.back().w = heads.value(first + h);
    values.back().y = e.values.data + h * V;
    values.back().y_stride = index(count * V);
  }
  if (heads.split()) {
    ctx.backend.products_transposed(keys);
  } else {
    values.insert(values.end(), keys.begin(), keys.end());  // one pass over the same latents
  }
  ctx.backend.products(values, std::nullopt);
  for (std::int64_t p = 0; p < P; ++p) {
    for (std::int64_t h = 0; h < count; ++h) {
      std::copy_n(latents.data + p * (C + R) + C, R, e.keys.data + (p * count + h) * (N + R) + N);
    }
  }
  return e;
}

// Attention with keys and values expanded per head, some heads at a time so that they fit in
// memory.
void attend_expanded(Context& ctx, const HeadWeights& heads, Tensor q, const QuerySpan& span,
                     Format format, Tensor out) {
  constexpr std::int64_t kExpandedFloats = std::int64_t{64} << 20;
  const AttentionConfig& a = heads.a;
  const std::int64_t H = a.heads, K = a.key_dims(), V = a.value_dims,
                     past = span.position + span.count;
  Arena::Scope scope(ctx.scratch);
  const Tensor latents = make_tensor(ctx.scratch, {past, a.kv_rank + a.rope_dims});
  ctx.backend.load_rows(span.keys, past, format, latents);
  const std::int64_t together = std::clamp<std::int64_t>(kExpandedFloats / (past * (K + V)), 1, H);
  for (std::int64_t first = 0; first < H; first += together) {
    const std::int64_t count = std::min(together, H - first);
    Arena::Scope group(ctx.scratch);
    const Expanded e = expand(ctx, heads, latents, first, count);
    const Tensor queries = make_tensor(ctx.scratch, {span.count, count, K});
    const Tensor mixed = make_tensor(ctx.scratch, {span.count, count, V});
    for (std::int64_t t = 0; t < span.count; ++t) {
      std::copy_n(q.row(span.first + t) + first * K, count * K, queries.data + t * count * K);
    }
    const std::byte* pages[2] = {reinterpret_cast<const std::byte*>(e.keys.data),
                                 reinterpret_cast<const std::byte*>(e.values.data)};
    const QuerySpan part{0,
                         span.count,
                         span.position,
                         {pages, past, 0, index(count * K) * 4},
                         {pages + 1, past, 0, index(count * V) * 4}};
    const AttendShape shape{.query_heads = static_cast<int>(count),
                            .kv_heads = static_cast<int>(count),
                            .key_dims = a.key_dims(),
                            .value_dims = a.value_dims,
                            .key_format = Format::f32,
                            .value_format = Format::f32,
                            .key_head_bytes = index(K) * 4,
                            .value_head_bytes = index(V) * 4,
                            .scale = a.softmax_scale};
    ctx.backend.attend(queries.data, {&part, 1}, shape, mixed.data);
    for (std::int64_t t = 0; t < span.count; ++t) {
      std::copy_n(mixed.data + t * count * V, count * V, out.row(span.first + t) + first * V);
    }
  }
}

// Queries [T, H·(N+R)] and what is cached [T, C+R], both rotated, the latter as the cache's format
// gives it back.
struct MlaInputs {
  Tensor q, latent, rope_key;
};

MlaInputs mla_inputs(Context& ctx, const AttentionContext& context, const MlaWeights& w, Tensor x,
                     const Batch& batch, Format kv_format) {
  const AttentionConfig& a = context.config;
  Tensor q, kv;
  if (a.query_rank > 0) {
    const std::vector<Tensor> down =
        ops::linears(ctx, x, {{w.query_down.weight}, {w.kv_down.weight}});
    kv = down[1];
    q = ops::linear(ctx, ops::rms_norm(ctx, down[0], w.query_norm.vector(), a.latent_eps),
                    w.query_up.weight);
  } else {
    const std::vector<Tensor> both = ops::linears(ctx, x, {{w.query.weight}, {w.kv_down.weight}});
    q = both[0];
    kv = both[1];
  }
  ops::Halves half = ops::split(ctx, kv, a.kv_rank);
  half.left = ops::rms_norm(ctx, half.left, w.kv_norm.vector(), a.latent_eps);
  half.right = ops::rope(ctx, half.right, 0, a.rope_dims, 1, batch.positions, context.rope);
  if (kv_format != Format::f32) {
    half = ops::split(ctx, ops::round_to(ctx, ops::join(ctx, half.left, half.right), kv_format),
                      a.kv_rank);
  }
  q = ops::rope(ctx, q, a.plain_dims, a.key_dims(), a.heads, batch.positions, context.rope);
  return {q, half.left, half.right};
}

// The batch is its own past: keys and values of all its rows, expanded at once.
Tensor mla_fresh(Context& ctx, const AttentionContext& context, const MlaWeights& w,
                 const MlaInputs& in, const Batch& batch) {
  const AttentionConfig& a = context.config;
  return ops::attend_latent(ctx, in.q, ops::linear(ctx, in.latent, w.kv_up.weight), in.rope_key,
                            {.query_heads = a.heads,
                             .kv_heads = a.heads,
                             .key_dims = a.key_dims(),
                             .value_dims = a.value_dims,
                             .scale = a.softmax_scale},
                            batch.starts);
}

// Whether every span of a batch that is its own past is computed in expanded form.
bool expands(const AttentionContext& context, const MlaWeights& w, const Batch& batch) {
  if (batch.kv || !w.kv_up.present()) return false;
  for (std::int64_t s = 0; s < batch.spans(); ++s) {
    const std::int64_t count = batch.starts[index(s + 1)] - batch.starts[index(s)];
    if (choose_mla_form(context.config, context.form, count, count).form != MlaForm::expanded)
      return false;
  }
  return true;
}

// Over cached rows, each span in the form its cost asks for.
Tensor mla_cached(Context& ctx, const AttentionContext& context, const MlaWeights& w,
                  const MlaInputs& in, const LayerKv& cache, const Batch& batch) {
  const AttentionConfig& a = context.config;
  const Tensor q = in.q;
  Tensor mixed = make_tensor(ctx.scratch, {q.rows(), a.heads * a.value_dims});
  const HeadWeights heads{a, w};
  std::vector<QuerySpan> absorbed;
  for (std::int64_t s = 0; s < batch.spans(); ++s) {
    const QuerySpan span = query_span(batch, cache, s);
    if (span.count == 0) continue;
    if (choose_mla_form(a, context.form, span.count, span.position + span.count).form ==
        MlaForm::absorbed) {
      absorbed.push_back(span);
    } else {
      attend_expanded(ctx, heads, q, span, cache.format, mixed);
    }
  }
  // Spans in latent form share one pass over their own rows.
  for (std::size_t begin = 0; begin < absorbed.size();) {
    std::size_t end = begin + 1;
    while (end < absorbed.size() &&
           absorbed[end].first == absorbed[end - 1].first + absorbed[end - 1].count)
      ++end;
    const std::int64_t first = absorbed[begin].first,
                       rows = absorbed[end - 1].first + absorbed[end - 1].count - first;
    std::vector<QuerySpan> run(absorbed.begin() + static_cast<std::ptrdiff_t>(begin),
                               absorbed.begin() + static_cast<std::ptrdiff_t>(end));
    for (QuerySpan& span : run) span.first -= first;
    attend_absorbed(ctx, heads, Tensor{q.row(first), {rows, q.cols()}}, run, cache.format,
                    Tensor{mixed.row(first), {rows, mixed.cols()}});
    begin = end;
  }
  return mixed;
}

}  // namespace

Tensor mla_forward(Context& ctx, const AttentionContext& context, const MlaWeights& w, Tensor x,
                   const Batch& batch, int layer) {
  const AttentionConfig& a = context.config;
  if (expands(context, w, batch)) {
    const MlaInputs in = mla_inputs(ctx, context, w, x, batch, context.kv_format);
    return ops::linear(ctx, mla_fresh(ctx, context, w, in, batch), w.output.weight);
  }
  NAUTILE_CHECK(!ctx.tape,
                "training needs MLA's expanded form and a fused kv_b_proj; this checkpoint or run "
                "has absorbed or split key and value weights");
  // Rounding is the cache's: rows are stored in its format and read back from it.
  const MlaInputs in = mla_inputs(ctx, context, w, x, batch, Format::f32);
  const Tensor kv = ops::join(ctx, in.latent, in.rope_key);
  const LayerKv cache = layer_kv(ctx, batch, layer, a.cached_values(), context.kv_format);
  ctx.backend.store_rows(kv.data, index(kv.cols()), kv.rows(), kv.cols(), cache.format,
                         cache.own.data());
  return ops::linear(ctx, mla_cached(ctx, context, w, in, cache, batch), w.output.weight);
}

namespace {

// Over cached rows: a token's keys, then its values.
Tensor grouped_cached(Context& ctx, const AttentionContext& context, Tensor q, Tensor k, Tensor v,
                      const Batch& batch, int layer) {
  const AttentionConfig& a = context.config;
  LayerKv cache = layer_kv(ctx, batch, layer, a.cached_values(), context.kv_format);
  const std::size_t key_bytes = row_bytes(cache.format, index(k.cols()));
  ctx.backend.store_rows(k.data, index(k.cols()), k.rows(), k.cols(), cache.format,
                         cache.own.data());
  for (std::byte*& row : cache.own) row += key_bytes;
  ctx.backend.store_rows(v.data, index(v.cols()), v.rows(), v.cols(), cache.format,
                         cache.own.data());

  std::vector<QuerySpan> spans;
  for (std::int64_t s = 0; s < batch.spans(); ++s) {
    spans.push_back(query_span(batch, cache, s));
    spans.back().values.layer_offset += key_bytes;
    if (spans.back().count == 0) spans.pop_back();
  }
  Tensor mixed = make_tensor(ctx.scratch, {q.rows(), a.heads * a.value_dims});
  const AttendShape shape{.query_heads = a.heads,
                          .kv_heads = a.kv_heads,
                          .key_dims = a.rope_dims,
                          .value_dims = a.value_dims,
                          .key_format = cache.format,
                          .value_format = cache.format,
                          .key_head_bytes = row_bytes(cache.format, index(a.rope_dims)),
                          .value_head_bytes = row_bytes(cache.format, index(a.value_dims)),
                          .scale = a.softmax_scale};
  ctx.backend.attend(q.data, spans, shape, mixed.data);
  return mixed;
}

// Heads of x [T, H·R], each normalized.
Tensor norm_heads(Context& ctx, Tensor x, std::int64_t dims, Vector gain, float eps) {
  Tensor heads{x.data, {x.elements() / dims, dims}, x.id};
  heads = ops::rms_norm(ctx, heads, gain, eps);
  return Tensor{heads.data, x.shape, heads.id};
}

}  // namespace

Tensor grouped_forward(Context& ctx, const AttentionContext& context, const GroupedWeights& w,
                       float eps, Tensor x, const Batch& batch, int layer) {
  const AttentionConfig& a = context.config;
  const std::vector<Tensor> qkv = ops::linears(ctx, x,
                                               {{w.query.weight, w.query_bias.vector()},
                                                {w.key.weight, w.key_bias.vector()},
                                                {w.value.weight, w.value_bias.vector()}});
  Tensor q = qkv[0], k = qkv[1], v = qkv[2];
  if (a.head_norm == AttentionConfig::HeadNorm::yes) {
    q = norm_heads(ctx, q, a.rope_dims, w.query_head_norm.vector(), eps);
    k = norm_heads(ctx, k, a.rope_dims, w.key_head_norm.vector(), eps);
  }
  q = ops::rope(ctx, q, 0, a.rope_dims, a.heads, batch.positions, context.rope);
  k = ops::rope(ctx, k, 0, a.rope_dims, a.kv_heads, batch.positions, context.rope);
  Tensor mixed;
  if (batch.kv) {
    mixed = grouped_cached(ctx, context, q, k, v, batch, layer);
  } else {
    mixed = ops::attend_grouped(ctx, q, ops::round_to(ctx, k, context.kv_format),
                                ops::round_to(ctx, v, context.kv_format),
                                {.query_heads = a.heads,
                                 .kv_heads = a.kv_heads,
                                 .key_dims = a.rope_dims,
                                 .value_dims = a.value_dims,
                                 .scale = a.softmax_scale},
                                batch.starts);
  }
  return ops::linear(ctx, mixed, w.output.weight);
}

}  // namespace nautile
