// gradient_backend.h — GradientBackend: what training adds to a device: how gradients flow back
// through the operations of backend.h.
#pragma once

#include "backend/backend.h"
#include "base/bf16.h"

namespace nautile {

// One gradient of a weight: dw[out, in] += dyᵀ·x, summed over m rows in a fixed order. Rows are
// strided (in floats).
struct OuterProduct {
  const float* dy = nullptr;  // [m, out]
  std::size_t dy_stride = 0;
  const float* x = nullptr;  // [m, in]
  std::size_t x_stride = 0;
  std::int64_t m = 0, out = 0, in = 0;
  float* dw = nullptr;
  std::size_t dw_stride = 0;
};

// One step of AdamW (Loshchilov and Hutter 2019; PyTorch's order): w −= rate·decay·w, then with
// g' = g·grad_scale, m = β1·m + (1−β1)·g', v = β2·v + (1−β2)·g'²,
// w −= rate·(m/correction1) / (√(v/correction2) + epsilon), correction_i = 1 − β_i^step.
struct AdamWStep {
  float rate = 0, beta1 = 0, beta2 = 0, epsilon = 0, decay = 0, grad_scale = 1;
  float correction1 = 1, correction2 = 1;
};

// Every sum has a fixed order per output element, whatever the threads.
class GradientBackend {
 public:
  virtual ~GradientBackend() = default;

  enum class Write : std::uint8_t { replace, add };
  // Gradient of a product's input: y[m, w.cols] (=, +=) x[m, w.rows]·w, where x is the output's
  // gradient. The class is the forward's: bf16 rounds both operands; fp8dyn quantizes the gradient
  // 1×128 along w.rows and takes the weight's own codes (DeepSeek-V3 report §3.3); weights of class
  // i8 are dequantized and take class bf16. Products of one call write disjoint y.
  virtual void input_gradients(std::span<const Product> list, Write write,
                               std::optional<ComputeClass> forced) = 0;
  // bf16 rounds both operands, fp8dyn quantizes both in tiles of 128 rows (of m) by one column. The
  // dw of one call are disjoint.
  virtual void weight_gradients(std::span<const OuterProduct> list, ComputeClass compute) = 0;
  // dw [n] += Σ rows of dy [m, n]
  virtual void bias_gradient(Tensor dy, float* dw) = 0;
  // dtable[token] += dy[t], tokens ascending. dtable [W, D]
  virtual void embed_gradient(Tensor dy, std::span<const std::int32_t> tokens, float* dtable) = 0;

  // dx = ∂/∂x, dgain += (null: not wanted). x, dy, dx [m, n] dense, gain [n].
  virtual void rms_norm_gradient(Tensor x, const float* gain, float eps, Tensor dy, Tensor dx,
                                 float* dgain) = 0;
  // The inverse rotation of Backend::rope, in place.
  virtual void rope_gradient(float* dy, std::size_t row_stride, std::size_t head_stride,
                             std::int64_t heads, std::span<const std::int32_t> positions,
                             const float* cos, const float* sin, std::int64_t half,
                             Backend::RopeOrder order) = 0;
  virtual void silu_mul_gradient(Tensor gate, Tensor up, Tensor dy, Tensor dgate, Tensor dup) = 0;

  // Fills dq (like q), dk and dv (strided like k, v) and dshared [T, shared_dims] by assignment.
  struct AttentionGradients {
    float *dq = nullptr, *dk = nullptr, *dv = nullptr, *dshared = nullptr;
  };
  virtual void attend_fresh_gradient(const FreshAttention& a, const float* out, const float* lse,
                                     const float* dout, const AttentionGradients& g) = 0;

  // dscores [T, E] = ∂/∂scores of the weights [T, K] that route() gave; the choice is constant.
  virtual void route_gradient(Tensor scores, const RouteRule& rule, const std::int32_t* chosen,
                              const float* weights, const float* dweights, Tensor dscores) = 0;
  // drows[slot[t, k]] = weights[t, k]·dout[t]; dweights[t, k] = rows[slot[t, k]]·dout[t]
  virtual void combine_gradient(Tensor rows, const std::int32_t* slot, const float* weights,
                                int chosen, Tensor dout, Tensor drows, float* dweights) = 0;
  // dx[t] (=) Σ_k drows[slot[t, k]], k ascending
  virtual void dispatch_gradient(Tensor drows, const std::int32_t* slot, int chosen, Tensor dx) = 0;

  // Rows of logits [m, W] in place to scale[i]·(softmax(logits[i]) − onehot(target[i])), given
  // lse [m]; a negative target takes no onehot away.
  virtual void log_prob_gradient(Tensor logits, std::span<const std::int32_t> targets,
                                 const float* lse, const float* scale) = 0;

  // Over n numbers in place. Moments are F32, or BF16 (updated in F32, rounded to nearest even).
  virtual void adamw(const AdamWStep& step, std::int64_t n, const float* g, float* w, float* m,
                     float* v) = 0;
  virtual void adamw(const AdamWStep& step, std::int64_t n, const float* g, float* w, bf16* m,
                     bf16* v) = 0;
  // w [rows, cols] to E4M3 codes, scales [ceil(rows/128), ceil(cols/128)] (amax/448).
  virtual void quantize_f8(const float* w, std::int64_t rows, std::int64_t cols, std::byte* codes,
                           float* scales) = 0;
  // Σ x², in double, in an order that depends on n alone.
  virtual double sum_of_squares(const float* x, std::int64_t n) = 0;
  // y += x and y = a·x + b·y over n numbers
  virtual void accumulate(const float* x, std::int64_t n, float* y) = 0;
  virtual void blend(float a, const float* x, float b, std::int64_t n, float* y) = 0;
};

}  // namespace nautile
