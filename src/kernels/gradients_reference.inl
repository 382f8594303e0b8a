// gradients_reference.inl — the gradients' part of the reference table.

void transpose_rows(const float* x, std::size_t stride, int rows, int columns, float* y,
                    std::size_t y_stride) noexcept {
  for (std::size_t r = 0; r < static_cast<std::size_t>(rows); ++r) {
    for (std::size_t c = 0; c < static_cast<std::size_t>(columns); ++c)
      y[c * y_stride + r] = x[r * stride + c];
  }
}

void rms_norm_gradient(const float* x, const float* gain, int n, float eps, const float* dy,
                       float* dx, float* dgain) noexcept {
  double squares = 0, along = 0;
  for (int i = 0; i < n; ++i) {
    squares += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    along += static_cast<double>(dy[i]) * static_cast<double>(gain[i]) * static_cast<double>(x[i]);
  }
  const float r = 1.0f / std::sqrt(static_cast<float>(squares / n) + eps);
  const float k = static_cast<float>(along / n) * r * r * r;
  for (int i = 0; i < n; ++i) {
    const float g = dy[i];
    if (dgain) dgain[i] += g * x[i] * r;
    dx[i] = g * gain[i] * r - x[i] * k;
  }
}

void silu_mul_gradient(const float* gate, const float* up, const float* dy, int n, float* dgate,
                       float* dup) noexcept {
  for (int i = 0; i < n; ++i) {
    const float a = gate[i], u = up[i], g = dy[i], s = 1.0f / (1.0f + std::exp(-a));
    dup[i] = g * a * s;
    dgate[i] = g * u * s * (1.0f + a * (1.0f - s));
  }
}

void softmax_block_gradient(float* scores, float* dp, std::size_t stride, int m, const int* valid,
                            float scale, const float* lse, const float* delta) noexcept {
  for (int i = 0; i < m; ++i) {
    float* s = scores + static_cast<std::size_t>(i) * stride;
    float* d = dp + static_cast<std::size_t>(i) * stride;
    for (int j = 0; j < kKeyBlock; ++j) {
      s[j] = j < valid[i] ? std::exp(std::fma(s[j], scale, -lse[i])) : 0.0f;
      d[j] = j < valid[i] ? s[j] * (d[j] - delta[i]) * scale : 0.0f;
    }
  }
}

float dot_rows(const float* a, const float* b, int n) noexcept {
  double sum = 0;
  for (int i = 0; i < n; ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return static_cast<float>(sum);
}

void scale_row(const float* x, float s, int n, float* y) noexcept {
  for (int i = 0; i < n; ++i) y[i] = x[i] * s;
}

float sum_exp(const float* x, int n, float* top) noexcept {
  *top = x[0];
  for (int i = 1; i < n; ++i) *top = std::fmax(*top, x[i]);
  double sum = 0;
  for (int i = 0; i < n; ++i) sum += static_cast<double>(std::exp(x[i] - *top));
  return static_cast<float>(sum);
}

void log_prob_gradient(float* x, int n, float lse, float scale) noexcept {
  for (int i = 0; i < n; ++i) x[i] = std::exp(x[i] - lse) * scale;
}

void add_rows(const float* x, std::size_t stride, int rows, int n, float* y) noexcept {
  for (std::size_t i = 0; i < static_cast<std::size_t>(n); ++i) {
    float sum = 0;
    for (std::size_t r = 0; r < static_cast<std::size_t>(rows); ++r) sum += x[r * stride + i];
    y[i] += sum;
  }
}

void blend(float a, const float* x, float b, int n, float* y) noexcept {
  for (int i = 0; i < n; ++i) y[i] = std::fma(a, x[i], b * y[i]);
}

double sum_of_squares(const float* x, int n) noexcept {
  double sum = 0;
  for (int i = 0; i < n; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return sum;
}

void keep_moment(float& to, float x) {
  to = x;
}
void keep_moment(bf16& to, float x) {
  to = to_bf16(x);
}

template <class Moment>
void adamw(const AdamWFactors& f, const float* g, int n, float* w, Moment* m, Moment* v) noexcept {
  for (int i = 0; i < n; ++i) {
    const float gradient = g[i] * f.grad_scale;
    const float first = std::fma(f.beta1, widened(m[i]), f.rest1 * gradient);
    const float second = std::fma(f.beta2, widened(v[i]), f.rest2 * gradient * gradient);
    keep_moment(m[i], first);
    keep_moment(v[i], second);
    w[i] = w[i] * f.keep - f.rate * first / std::fma(std::sqrt(second), f.root, f.epsilon);
  }
}

constexpr GradientKernels kGradientTable = {.rms_norm = rms_norm_gradient,
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
