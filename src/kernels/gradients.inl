// gradients.inl — loops over rows of gradients, written once over Vec; compiled into every vector
// table.

// Calls body(i, n) for each register of n numbers, the last with fewer than a register's.
template <class Body>
static inline void each_register(int n, Body body) {
  constexpr int w = Vec::kWidth;
  int i = 0;
  for (; i + w <= n; i += w) body(i, w);
  if (i < n) body(i, n - i);
}
static inline void store_some(float* p, Vec x, int n) {
  if (n == Vec::kWidth) {
    store(p, x);
  } else {
    store_n(p, x, n);
  }
}
static inline void store_some(bf16* p, Vec x, int n) {
  if (n == Vec::kWidth) {
    store_bf16(p, x);
  } else {
    store_bf16_n(p, x, n);
  }
}

static void transpose_rows(const float* x, std::size_t stride, int rows, int columns, float* y,
                           std::size_t y_stride) noexcept {
  constexpr int w = Vec::kWidth;
  for (int r = 0; r < rows; r += w) {
    for (int c = 0; c < columns; c += w) {
      transpose_tile(x + static_cast<std::size_t>(r) * stride + c, stride,
                     rows - r < w ? rows - r : w, columns - c < w ? columns - c : w,
                     y + static_cast<std::size_t>(c) * y_stride + r, y_stride);
    }
  }
}

static float dot_rows(const float* a, const float* b, int n) noexcept {
  constexpr int w = Vec::kWidth;
  Vec sum0 = splat(0), sum1 = splat(0);
  int i = 0;
  for (; i + 2 * w <= n; i += 2 * w) {
    sum0 = fma(load(a + i), load(b + i), sum0);
    sum1 = fma(load(a + i + w), load(b + i + w), sum1);
  }
  for (; i < n; i += w) {
    const int left = n - i < w ? n - i : w;
    sum0 = fma(load_n(a + i, left), load_n(b + i, left), sum0);
  }
  return reduce_add(sum0 + sum1);
}

static void rms_norm_gradient(const float* x, const float* gain, int n, float eps, const float* dy,
                              float* dx, float* dgain) noexcept {
  const float r = rms_factor(x, n, eps);
  Vec sum = splat(0);
  each_register(n, [&](int i, int left) {
    sum = fma(load_some(dy + i, left) * load_some(gain + i, left), load_some(x + i, left), sum);
  });
  const Vec along = splat(reduce_add(sum) * r * r * r / static_cast<float>(n)), factor = splat(r);
  each_register(n, [&](int i, int left) {
    const Vec g = load_some(dy + i, left), a = load_some(x + i, left);
    if (dgain) store_some(dgain + i, fma(g, a * factor, load_some(dgain + i, left)), left);
    store_some(dx + i, g * load_some(gain + i, left) * factor - a * along, left);
  });
}

static void silu_mul_gradient(const float* gate, const float* up, const float* dy, int n,
                              float* dgate, float* dup) noexcept {
  const Vec one = splat(1.0f);
  each_register(n, [&](int i, int left) {
    const Vec a = load_some(gate + i, left), u = load_some(up + i, left),
              g = load_some(dy + i, left);
    const Vec s = one / (one + exp(splat(0.0f) - a));
    store_some(dup + i, g * a * s, left);
    store_some(dgate + i, g * u * s * fma(a, one - s, one), left);
  });
}

static void softmax_block_gradient(float* scores, float* dp, std::size_t stride, int m,
                                   const int* valid, float scale, const float* lse,
                                   const float* delta) noexcept {
  constexpr int w = Vec::kWidth;
  for (int i = 0; i < m; ++i) {
    float* s = scores + static_cast<std::size_t>(i) * stride;
    float* d = dp + static_cast<std::size_t>(i) * stride;
    const Vec minus = splat(-lse[i]), mean = splat(delta[i]), factor = splat(scale);
    for (int j = 0; j < kKeyBlock; j += w) {
      const int n = valid[i] - j;
      Vec p = splat(0), ds = splat(0);
      if (n > 0) {
        p = exp(fma(load(s + j), factor, minus));
        ds = p * (load(d + j) - mean) * factor;
        if (n < w) {
          p = keep_n(p, n, splat(0));
          ds = keep_n(ds, n, splat(0));
        }
      }
      store(s + j, p);
      store(d + j, ds);
    }
  }
}

static float sum_exp(const float* x, int n, float* top) noexcept {
  Vec most = splat(-__builtin_inff());
  each_register(
      n, [&](int i, int left) { most = max(most, keep_n(load_some(x + i, left), left, most)); });
  *top = reduce_max(most);
  const Vec shift = splat(*top);
  constexpr int w = Vec::kWidth;
  Vec sum[4] = {splat(0), splat(0), splat(0), splat(0)};
  int i = 0;
  for (; i + 4 * w <= n; i += 4 * w) {
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) sum[k] = sum[k] + exp(load(x + i + k * w) - shift);
  }
  for (; i < n; i += w) {
    const int left = n - i < w ? n - i : w;
    sum[0] = sum[0] + keep_n(exp(load_n(x + i, left) - shift), left, splat(0));
  }
  return reduce_add((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

static void log_prob_gradient(float* x, int n, float lse, float scale) noexcept {
  const Vec shift = splat(lse), factor = splat(scale);
  each_register(n, [&](int i, int left) {
    store_some(x + i, exp(load_some(x + i, left) - shift) * factor, left);
  });
}

// Four registers of columns at a time, summed down the rows.
static void add_rows(const float* x, std::size_t stride, int rows, int n, float* y) noexcept {
  constexpr int w = Vec::kWidth;
  int i = 0;
  for (; i + 4 * w <= n; i += 4 * w) {
    Vec sum[4] = {splat(0), splat(0), splat(0), splat(0)};
    for (int r = 0; r < rows; ++r) {
      const float* row = x + static_cast<std::size_t>(r) * stride + i;
#pragma GCC unroll 4
      for (int k = 0; k < 4; ++k) sum[k] = sum[k] + load(row + k * w);
    }
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) store(y + i + k * w, load(y + i + k * w) + sum[k]);
  }
  each_register(n - i, [&](int at, int left) {
    Vec sum = splat(0);
    for (int r = 0; r < rows; ++r)
      sum = sum + load_some(x + static_cast<std::size_t>(r) * stride + i + at, left);
    store_some(y + i + at, load_some(y + i + at, left) + sum, left);
  });
}

static void scale_row(const float* x, float s, int n, float* y) noexcept {
  const Vec factor = splat(s);
  each_register(n,
                [&](int i, int left) { store_some(y + i, load_some(x + i, left) * factor, left); });
}

static void blend(float a, const float* x, float b, int n, float* y) noexcept {
  const Vec fa = splat(a), fb = splat(b);
  each_register(n, [&](int i, int left) {
    store_some(y + i, fma(fa, load_some(x + i, left), fb * load_some(y + i, left)), left);
  });
}

static double sum_of_squares(const float* x, int n) noexcept {
  constexpr int w = Vec::kWidth;
  DoubleSums sums[2];
  int i = 0;
  for (; i + 2 * w <= n; i += 2 * w) {
    add_squares(sums[0], load(x + i));
    add_squares(sums[1], load(x + i + w));
  }
  for (; i < n; i += w) add_squares(sums[0], load_n(x + i, n - i < w ? n - i : w));
  return reduce_add(sums[0]) + reduce_add(sums[1]);
}

template <class Moment>
static void adamw(const AdamWFactors& f, const float* g, int n, float* w, Moment* m,
                  Moment* v) noexcept {
  const Vec grad_scale = splat(f.grad_scale), beta1 = splat(f.beta1), rest1 = splat(f.rest1),
            beta2 = splat(f.beta2), rest2 = splat(f.rest2), keep = splat(f.keep),
            rate = splat(f.rate), root = splat(f.root), epsilon = splat(f.epsilon);
  each_register(n, [&](int i, int left) {
    const Vec gradient = load_some(g + i, left) * grad_scale;
    const Vec first = fma(beta1, load_some(m + i, left), rest1 * gradient);
    const Vec second = fma(beta2, load_some(v + i, left), rest2 * gradient * gradient);
    store_some(m + i, first, left);
    store_some(v + i, second, left);
    const Vec step = rate * first / fma(sqrt(second), root, epsilon);
    store_some(w + i, load_some(w + i, left) * keep - step, left);
  });
}

static constexpr GradientKernels kGradientTable = {.rms_norm = rms_norm_gradient,
                                                   .silu_mul = silu_mul_gradient,
                                                   .softmax_block = softmax_block_gradient,
                                                   .dot = dot_rows,
                                                   .scale = scale_row,
                                                   .sum_exp = sum_exp,
                                                   .log_prob = log_prob_gradient,
                                                   .add_rows = add_rows,
                                                   .blend = blend,
                                                   .sum_of_squares = sum_of_squares,
                                                   .adamw = adamw<float>,
                                                   .adamw_bf16 = adamw<bf16>};
