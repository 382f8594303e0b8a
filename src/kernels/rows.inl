// rows.inl — loops over one row, written once over Vec; compiled into every vector table.

// e^x for finite x and -inf: x = n·ln 2 + r, |r| <= ln 2 / 2, Taylor to the sixth power (relative
// error below 2 ulp). Below -87.3 the result is a tiny positive number, not zero.
static inline Vec exp(Vec x) {
  x = max(min(x, splat(88.0f)), splat(-87.3f));
  const Vec n = round(x * splat(1.44269504f));
  Vec r = fma(n, splat(-0.693359375f), x);
  r = fma(n, splat(2.12194440e-4f), r);
  Vec p = splat(1.0f / 720);
  p = fma(p, r, splat(1.0f / 120));
  p = fma(p, r, splat(1.0f / 24));
  p = fma(p, r, splat(1.0f / 6));
  p = fma(p, r, splat(0.5f));
  p = fma(p, r, splat(1.0f));
  p = fma(p, r, splat(1.0f));
  return scale_by_power(p, n);
}

// 1 / sqrt(mean(x²) + eps)
static inline float rms_factor(const float* x, int n, float eps) {
  constexpr int w = Vec::kWidth;
  Vec sum0 = splat(0), sum1 = splat(0);
  int i = 0;
  for (; i + 2 * w <= n; i += 2 * w) {
    const Vec a = load(x + i), b = load(x + i + w);
    sum0 = fma(a, a, sum0);
    sum1 = fma(b, b, sum1);
  }
  for (; i < n; i += w) {
    const Vec a = load_n(x + i, n - i < w ? n - i : w);
    sum0 = fma(a, a, sum0);
  }
  const float mean = reduce_add(sum0 + sum1) / static_cast<float>(n);
  return 1.0f / __builtin_sqrtf(mean + eps);
}

static void rms_norm(const float* x, const float* gain, int n, float eps, float* y) noexcept {
  constexpr int w = Vec::kWidth;
  const Vec r = splat(rms_factor(x, n, eps));
  int i = 0;
  for (; i + w <= n; i += w) store(y + i, load(x + i) * r * load(gain + i));
  if (i < n) store_n(y + i, load_n(x + i, n - i) * r * load_n(gain + i, n - i), n - i);
}

static inline Vec silu_times(Vec gate, Vec up) {
  return gate / (splat(1.0f) + exp(splat(0.0f) - gate)) * up;
}

static void silu_mul(const float* gate, const float* up, int n, float* y) noexcept {
  constexpr int w = Vec::kWidth;
  int i = 0;
  for (; i + w <= n; i += w) store(y + i, silu_times(load(gate + i), load(up + i)));
  if (i < n) store_n(y + i, silu_times(load_n(gate + i, n - i), load_n(up + i, n - i)), n - i);
}

static void add(const float* a, const float* b, int n, float* y) noexcept {
  constexpr int w = Vec::kWidth;
  int i = 0;
  for (; i + w <= n; i += w) store(y + i, load(a + i) + load(b + i));
  if (i < n) store_n(y + i, load_n(a + i, n - i) + load_n(b + i, n - i), n - i);
}

static void add_scaled(const float* x, float s, int n, float* y) noexcept {
  constexpr int w = Vec::kWidth;
  const Vec factor = splat(s);
  int i = 0;
  for (; i + w <= n; i += w) store(y + i, fma(load(x + i), factor, load(y + i)));
  if (i < n) store_n(y + i, fma(load_n(x + i, n - i), factor, load_n(y + i, n - i)), n - i);
}

static void rope_halves(float* x, const float* cos, const float* sin, int half) noexcept {
  constexpr int w = Vec::kWidth;
  for (int i = 0; i < half; i += w) {
    const int n = half - i < w ? half - i : w;
    const Vec c = load_n(cos + i, n), s = load_n(sin + i, n);
    const Vec a = load_n(x + i, n), b = load_n(x + half + i, n);
    store_n(x + i, a * c - b * s, n);
    store_n(x + half + i, b * c + a * s, n);
  }
}

static void rope_pairs(float* x, const float* cos, const float* sin, int half) noexcept {
  constexpr int w = Vec::kWidth;
  int i = 0;
  for (; i + w <= half; i += w) {
    Vec a, b;
    load_pairs(x + 2 * i, a, b);
    const Vec c = load(cos + i), s = load(sin + i);
    store_pairs(x + 2 * i, a * c - b * s, b * c + a * s);
  }
  for (; i < half; ++i) {
    const float a = x[2 * i], b = x[2 * i + 1];
    x[2 * i] = a * cos[i] - b * sin[i];
    x[2 * i + 1] = b * cos[i] + a * sin[i];
  }
}

static void row_to_bf16(const float* x, int n, bf16* y) noexcept {
  constexpr int w = Vec::kWidth;
  int i = 0;
  for (; i + w <= n; i += w) store_bf16(y + i, load(x + i));
  if (i < n) store_bf16_n(y + i, load_n(x + i, n - i), n - i);
}

static void row_from_bf16(const bf16* x, int n, float* y) noexcept {
  constexpr int w = Vec::kWidth;
  int i = 0;
  for (; i + w <= n; i += w) store(y + i, load_bf16(x + i));
  if (i < n) store_n(y + i, load_bf16_n(x + i, n - i), n - i);
}
