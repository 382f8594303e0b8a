#include "backend/cpu_gradients.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "base/error.h"

namespace nautile {
namespace {

float dot(const float* a, const float* b, std::int64_t n) {
  float sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

GradientBackend& CpuBackend::gradients() {
  if (!gradients_) gradients_ = std::make_unique<CpuGradients>(*this);
  return *gradients_;
}

void CpuBackend::log_sum_exp(Tensor logits, float* lse) {
  pool_.parallel_for(logits.rows(), 1, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float* x = logits.row(i);
      const float top = *std::max_element(x, x + logits.cols());
      double sum = 0;
      for (std::int64_t j = 0; j < logits.cols(); ++j)
        sum += static_cast<double>(std::exp(x[j] - top));
      lse[i] = top + static_cast<float>(std::log(sum));
    }
  });
}

void CpuGradients::bias_gradient(Tensor dy, float* dw) {
  for (std::int64_t t = 0; t < dy.rows(); ++t)
    for (std::int64_t c = 0; c < dy.cols(); ++c) dw[c] += dy.row(t)[c];
}

void CpuGradients::embed_gradient(Tensor dy, std::span<const std::int32_t> tokens, float* dtable) {
  for (std::int64_t t = 0; t < dy.rows(); ++t) {
    float* to = dtable + tokens[static_cast<std::size_t>(t)] * dy.cols();
    for (std::int64_t c = 0; c < dy.cols(); ++c) to[c] += dy.row(t)[c];
  }
}

void CpuGradients::rms_norm_gradient(Tensor x, const float* gain, float eps, Tensor dy, Tensor dx,
                                     float* dgain) {
  const std::int64_t n = x.cols();
  for (std::int64_t t = 0; t < x.rows(); ++t) {
    const float *a = x.row(t), *g = dy.row(t);
    const float r = 1.0f / std::sqrt(dot(a, a, n) / static_cast<float>(n) + eps);
    float along = 0;
    for (std::int64_t i = 0; i < n; ++i) along += g[i] * gain[i] * a[i];
    const float k = along * r * r * r / static_cast<float>(n);
    for (std::int64_t i = 0; i < n; ++i) {
      if (dgain) dgain[i] += g[i] * a[i] * r;
      dx.row(t)[i] = g[i] * gain[i] * r - a[i] * k;
    }
  }
}

void CpuGradients::rope_gradient(float* dy, std::size_t row_stride, std::size_t head_stride,
                                 std::int64_t heads, std::span<const std::int32_t> positions,
                                 const float* cos, const float* sin, std::int64_t half,
                                 Backend::RopeOrder order) {
  const auto rotate =
      order == Backend::RopeOrder::pairs ? kernels_.rows.rope_pairs : kernels_.rows.rope_halves;
  std::vector<float> back(static_cast<std::size_t>(half));
  for (std::size_t t = 0; t < positions.size(); ++t) {
    for (std::int64_t i = 0; i < half; ++i)
      back[static_cast<std::size_t>(i)] = -sin[positions[t] * half + i];
    for (std::size_t h = 0; h < static_cast<std::size_t>(heads); ++h) {
      rotate(dy + t * row_stride + h * head_stride, cos + positions[t] * half, back.data(),
             static_cast<int>(half));
    }
  }
}

void CpuGradients::silu_mul_gradient(Tensor gate, Tensor up, Tensor dy, Tensor dgate, Tensor dup) {
  for (std::int64_t i = 0; i < dy.elements(); ++i) {
    const float a = gate.data[i], u = up.data[i], g = dy.data[i];
    const float s = 1.0f / (1.0f + std::exp(-a));
    dup.data[i] = g * a * s;
    dgate.data[i] = g * u * s * (1.0f + a * (1.0f - s));
  }
}

void CpuGradients::attend_fresh_gradient(const FreshAttention& a, const float* out,
                                         const float* lse, const float* dout,
                                         const AttentionGradients& g) {
  const std::int64_t tokens = a.starts.empty() ? 0 : a.starts.back();
  const int own = a.key_dims - a.shared_dims, group = a.query_heads / a.kv_heads;
  std::fill(g.dq, g.dq + tokens * a.query_heads * a.key_dims, 0.0f);
  if (g.dshared) std::fill(g.dshared, g.dshared + tokens * a.shared_dims, 0.0f);
  const auto at = [](auto* p, std::int64_t t, std::size_t stride, int head, std::size_t by) {
    return p + static_cast<std::size_t>(t) * stride + static_cast<std::size_t>(head) * by;
  };
  for (std::size_t s = 0; s + 1 < a.starts.size(); ++s) {
    for (int kv = 0; kv < a.kv_heads; ++kv) {
      for (std::int64_t j = a.starts[s]; j < a.starts[s + 1]; ++j) {
        const float *k = at(a.k, j, a.k_stride, kv, a.k_head),
                    *v = at(a.v, j, a.v_stride, kv, a.v_head);
        float *dk = at(g.dk, j, a.k_stride, kv, a.k_head),
              *dv = at(g.dv, j, a.v_stride, kv, a.v_head);
        const float* shared = a.shared_key + j * a.shared_dims;
        float* dshared = g.dshared + j * a.shared_dims;
        std::fill(dk, dk + own, 0.0f);
        std::fill(dv, dv + a.value_dims, 0.0f);
        for (std::int64_t i = j; i < a.starts[s + 1]; ++i) {
          for (int h = kv * group; h < (kv + 1) * group; ++h) {
            const std::int64_t row = i * a.query_heads + h;
            const float *q = a.q + row * a.key_dims, *dy = dout + row * a.value_dims;
            float* dq = g.dq + row * a.key_dims;
            const float score = dot(q, k, own) + dot(q + own, shared, a.shared_dims);
            const float p = std::exp(a.scale * score - lse[row]);
            const float delta = dot(out + row * a.value_dims, dy, a.value_dims);
            const float ds = p * (dot(dy, v, a.value_dims) - delta) * a.scale;
            for (int c = 0; c < a.value_dims; ++c) dv[c] += p * dy[c];
            for (int c = 0; c < own; ++c) dk[c] += ds * q[c], dq[c] += ds * k[c];
            for (int c = 0; c < a.shared_dims; ++c)
              dshared[c] += ds * q[own + c], dq[own + c] += ds * shared[c];
          }
        }
      }
    }
  }
}

void CpuGradients::route_gradient(Tensor scores, const RouteRule& rule, const std::int32_t* chosen,
                                  const float*, const float* dweights, Tensor dscores) {
  const std::size_t experts = static_cast<std::size_t>(rule.experts);
  std::vector<float> p(experts), dp(experts);
  for (std::int64_t t = 0; t < scores.rows(); ++t) {
    const float* x = scores.row(t);
    const float top = *std::max_element(x, x + experts);
    float all = 0;
    for (std::size_t e = 0; e < experts; ++e) {
      p[e] = rule.score == RouteRule::Score::sigmoid ? 1.0f / (1.0f + std::exp(-x[e]))
                                                     : std::exp(x[e] - top);
      all += p[e];
    }
    if (rule.score == RouteRule::Score::softmax)
      for (float& value : p) value /= all;
    std::fill(dp.begin(), dp.end(), 0.0f);
    float sum = 0, along = 0;
    for (std::int64_t k = t * rule.chosen; k < (t + 1) * rule.chosen; ++k) {
      sum += p[static_cast<std::size_t>(chosen[k])];
      along += p[static_cast<std::size_t>(chosen[k])] * dweights[k];
    }
    sum += 1e-20f;
    for (std::int64_t k = t * rule.chosen; k < (t + 1) * rule.chosen; ++k) {
      dp[static_cast<std::size_t>(chosen[k])] = rule.normalize == RouteRule::Normalize::yes
                                                    ? rule.scale * (dweights[k] - along / sum) / sum
                                                    : rule.scale * dweights[k];
    }
    const float mean = std::inner_product(p.begin(), p.end(), dp.begin(), 0.0f);
    for (std::size_t e = 0; e < experts; ++e) {
      dscores.row(t)[e] = rule.score == RouteRule::Score::sigmoid ? dp[e] * p[e] * (1.0f - p[e])
                                                                  : p[e] * (dp[e] - mean);
    }
  }
}

void CpuGradients::combine_gradient(Tensor rows, const std::int32_t* slot, const float* weights,
                                    int chosen, Tensor dout, Tensor drows, float* dweights) {
  for (std::int64_t t = 0; t < dout.rows(); ++t) {
    for (std::int64_t k = t * chosen; k < (t + 1) * chosen; ++k) {
      for (std::int64_t c = 0; c < dout.cols(); ++c)
        drows.row(slot[k])[c] = weights[k] * dout.row(t)[c];
      dweights[k] = dot(rows.row(slot[k]), dout.row(t), dout.cols());
    }
  }
}

void CpuGradients::dispatch_gradient(Tensor drows, const std::int32_t* slot, int chosen,
                                     Tensor dx) {
  std::fill(dx.data, dx.data + dx.elements(), 0.0f);
  for (std::int64_t k = 0; k < dx.rows() * chosen; ++k) {
    for (std::int64_t c = 0; c < dx.cols(); ++c) dx.row(k / chosen)[c] += drows.row(slot[k])[c];
  }
}

void CpuGradients::log_prob_gradient(Tensor logits, std::span<const std::int32_t> targets,
                                     const float* lse, const float* scale) {
  pool_.parallel_for(logits.rows(), 1, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t i = begin; i < end; ++i) {
      float* x = logits.row(i);
      for (std::int64_t j = 0; j < logits.cols(); ++j) x[j] = scale[i] * std::exp(x[j] - lse[i]);
      const std::int32_t target = targets[static_cast<std::size_t>(i)];
      if (target >= 0) x[target] -= scale[i];
    }
  });
}

template <class Moment>
static void step_adamw(const AdamWStep& s, std::int64_t n, const float* g, float* w, Moment* m,
                       Moment* v) {
  const auto read = [](Moment x) {
    if constexpr (std::is_same_v<Moment, bf16>)
      return to_float(x);
    else
      return x;
  };
  const auto write = [](Moment& to, float x) {
    if constexpr (std::is_same_v<Moment, bf16>)
      to = to_bf16(x);
    else
      to = x;
  };
  for (std::int64_t i = 0; i < n; ++i) {
    const float gradient = g[i] * s.grad_scale;
    const float first = s.beta1 * read(m[i]) + (1 - s.beta1) * gradient;
    const float second = s.beta2 * read(v[i]) + (1 - s.beta2) * gradient * gradient;
    write(m[i], first);
    write(v[i], second);
    w[i] -= s.rate * s.decay * w[i];
    w[i] -= s.rate * (first / s.correction1) / (std::sqrt(second / s.correction2) + s.epsilon);
  }
}

void CpuGradients::adamw(const AdamWStep& step, std::int64_t n, const float* g, float* w, float* m,
                         float* v) {
  step_adamw(step, n, g, w, m, v);
}

void CpuGradients::adamw(const AdamWStep& step, std::int64_t n, const float* g, float* w, bf16* m,
                         bf16* v) {
  step_adamw(step, n, g, w, m, v);
}

double CpuGradients::sum_of_squares(const float* x, std::int64_t n) {
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  return sum;
}

void CpuGradients::accumulate(const float* x, std::int64_t n, float* y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] += x[i];
}

void CpuGradients::blend(float a, const float* x, float b, std::int64_t n, float* y) {
  for (std::int64_t i = 0; i < n; ++i) y[i] = a * x[i] + b * y[i];
}

}  // namespace nautile
