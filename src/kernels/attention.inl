// attention.inl — the two steps of attention that are not a product with a panel: the online
// softmax of one block of keys, and the mixing of its values. Written once over Vec.

static float exp_one(float x) {
  float lanes[Vec::kWidth];
  store(lanes, exp(splat(x)));
  return lanes[0];
}

// One row of softmax_block; s [kKeyBlock], valid >= 1. The row is cleared past `valid` up to
// kKeyBlock, so the sum runs over whole registers in one fixed order.
static void softmax_row(float* s, int valid, float scale, float* max_so_far, float* sum,
                        float* factor) {
  constexpr int w = Vec::kWidth;
  const Vec lowest = splat(-__builtin_inff());
  Vec top = lowest;
  for (int j = 0; j < valid; j += w) {
    const int n = valid - j < w ? valid - j : w;
    top = max(top, keep_n(load_n(s + j, n), n, lowest));
  }
  const float block_max = reduce_max(top) * scale;
  const float old = *max_so_far;
  const float now = old > block_max ? old : block_max;
  *factor = old == -__builtin_inff() ? 0.0f : exp_one(old - now);
  Vec total = splat(0);
  for (int j = 0; j < kKeyBlock; j += w) {
    const int n = valid - j < 0 ? 0 : (valid - j < w ? valid - j : w);
    Vec p = splat(0);
    if (n > 0) p = keep_n(exp(fma(load_n(s + j, n), splat(scale), splat(-now))), n, splat(0));
    store(s + j, p);
    total = total + p;
  }
  *sum = *sum * *factor + reduce_add(total);
  *max_so_far = now;
}

static void softmax_block(float* scores, std::size_t stride, int m, const int* valid, float scale,
                          float* max_so_far, float* sum, float* factor) noexcept {
  for (int i = 0; i < m; ++i) {
    float* s = scores + static_cast<std::size_t>(i) * stride;
    if (valid[i] > 0) {
      softmax_row(s, valid[i], scale, max_so_far + i, sum + i, factor + i);
      continue;
    }
    factor[i] = 1.0f;
    for (int j = 0; j < kKeyBlock; j += Vec::kWidth) store(s + j, splat(0));
  }
}

static inline Vec value_at_lane(const float* v) {
  return load(v);
}
static inline Vec value_at_lane(const bf16* v) {
  return load_bf16(v);
}
static inline Vec value_at_lane_n(const float* v, int n) {
  return load_n(v, n);
}
static inline Vec value_at_lane_n(const bf16* v, int n) {
  return load_bf16_n(v, n);
}

// R rows of p against the same values, C registers of columns at once.
template <int R, int C, class Value>
static inline void mix_tile(const float* p, std::size_t p_stride, const float* factor,
                            const Value* v, std::size_t v_stride, int keys, float* out,
                            std::size_t out_stride) {
  constexpr int w = Vec::kWidth;
  Vec acc[R][C];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) {
      acc[r][c] = load(out + static_cast<std::size_t>(r) * out_stride + c * w) * splat(factor[r]);
    }
  }
  for (int j = 0; j < keys; ++j) {
    Vec row[C];
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c)
      row[c] = value_at_lane(v + static_cast<std::size_t>(j) * v_stride + c * w);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const Vec weight =
          splat(p[static_cast<std::size_t>(r) * p_stride + static_cast<std::size_t>(j)]);
#pragma GCC unroll 8
      for (int c = 0; c < C; ++c) acc[r][c] = fma(weight, row[c], acc[r][c]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c)
      store(out + static_cast<std::size_t>(r) * out_stride + c * w, acc[r][c]);
  }
}

// The last columns, fewer than a register.
template <class Value>
static inline void mix_tail(const float* p, const float* factor, const Value* v,
                            std::size_t v_stride, int keys, int n, float* out) {
  Vec acc = load_n(out, n) * splat(*factor);
  for (int j = 0; j < keys; ++j) {
    acc = fma(splat(p[j]), value_at_lane_n(v + static_cast<std::size_t>(j) * v_stride, n), acc);
  }
  store_n(out, acc, n);
}

template <int R, class Value>
static inline void mix_rows(const float* p, std::size_t p_stride, const float* factor,
                            const Value* v, std::size_t v_stride, int keys, int cols, float* out,
                            std::size_t out_stride) {
  constexpr int w = Vec::kWidth;
  int c = 0;
  for (; c + 4 * w <= cols; c += 4 * w) {
    mix_tile<R, 4>(p, p_stride, factor, v + c, v_stride, keys, out + c, out_stride);
  }
  // What is left at once: a weight is spread to all lanes once for every register of columns.
  const auto left = [&]<int C>() {
    mix_tile<R, C>(p, p_stride, factor, v + c, v_stride, keys, out + c, out_stride);
    c += C * w;
  };
  const int registers = (cols - c) / w;
  if (registers == 3) left.template operator()<3>();
  if (registers == 2) left.template operator()<2>();
  if (registers == 1) left.template operator()<1>();
  if (c == cols) return;
  for (int r = 0; r < R; ++r) {
    mix_tail(p + static_cast<std::size_t>(r) * p_stride, factor + r, v + c, v_stride, keys,
             cols - c, out + static_cast<std::size_t>(r) * out_stride + c);
  }
}

template <class Value>
static void mix(const float* p, std::size_t p_stride, int m, const float* factor, const Value* v,
                std::size_t v_stride, int keys, int cols, float* out,
                std::size_t out_stride) noexcept {
  constexpr int kRows = Vec::kWidth == 16 ? 6 : 2;  // as many accumulators as registers allow
  int i = 0;
  for (; i + kRows <= m; i += kRows) {
    const std::size_t row = static_cast<std::size_t>(i);
    mix_rows<kRows>(p + row * p_stride, p_stride, factor + i, v, v_stride, keys, cols,
                    out + row * out_stride, out_stride);
  }
  for (; i < m; ++i) {
    const std::size_t row = static_cast<std::size_t>(i);
    mix_rows<1>(p + row * p_stride, p_stride, factor + i, v, v_stride, keys, cols,
                out + row * out_stride, out_stride);
  }
}
