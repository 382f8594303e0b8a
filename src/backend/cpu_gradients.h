// cpu_gradients.h — CpuGradients: gradients on the threads and kernels of a CpuBackend.
#pragma once

#include "backend/cpu_backend.h"

namespace nautile {

class CpuGradients final : public GradientBackend {
 public:
  // The backend owns this object and outlives it.
  explicit CpuGradients(CpuBackend& backend)
      : backend_(backend), kernels_(backend.kernels_), pool_(backend.pool_) {}

  void input_gradients(std::span<const Product> list, Write write,
                       std::optional<ComputeClass> forced) override;
  void weight_gradients(std::span<const OuterProduct> list, ComputeClass compute) override;
  void bias_gradient(Tensor dy, float* dw) override;
  void embed_gradient(Tensor dy, std::span<const std::int32_t> tokens, float* dtable) override;
  void rms_norm_gradient(Tensor x, const float* gain, float eps, Tensor dy, Tensor dx,
                         float* dgain) override;
  void rope_gradient(float* dy, std::size_t row_stride, std::size_t head_stride, std::int64_t heads,
                     std::span<const std::int32_t> positions, const float* cos, const float* sin,
                     std::int64_t half, Backend::RopeOrder order) override;
  void silu_mul_gradient(Tensor gate, Tensor up, Tensor dy, Tensor dgate, Tensor dup) override;
  void attend_fresh_gradient(const FreshAttention& a, const float* out, const float* lse,
                             const float* dout, const AttentionGradients& g) override;
  void route_gradient(Tensor scores, const RouteRule& rule, const std::int32_t* chosen,
                      const float* weights, const float* dweights, Tensor dscores) override;
  void combine_gradient(Tensor rows, const std::int32_t* slot, const float* weights, int chosen,
                        Tensor dout, Tensor drows, float* dweights) override;
  void dispatch_gradient(Tensor drows, const std::int32_t* slot, int chosen, Tensor dx) override;
  void log_prob_gradient(Tensor logits, std::span<const std::int32_t> targets, const float* lse,
                         const float* scale) override;
  void adamw(const AdamWStep& step, std::int64_t n, const float* g, float* w, float* m,
             float* v) override;
  void adamw(const AdamWStep& step, std::int64_t n, const float* g, float* w, bf16* m,
             bf16* v) override;
  void quantize_f8(const float* w, std::int64_t rows, std::int64_t cols, std::byte* codes,
                   float* scales) override;
  double sum_of_squares(const float* x, std::int64_t n) override;
  void accumulate(const float* x, std::int64_t n, float* y) override;
  void blend(float a, const float* x, float b, std::int64_t n, float* y) override;

 private:
  CpuBackend& backend_;
  const kernels::Kernels& kernels_;
  ThreadPool& pool_;
};

}  // namespace nautile
