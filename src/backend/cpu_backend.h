// cpu_backend.h — CpuBackend: cuts work for the thread pool and calls kernels.
#pragma once

#include <vector>

#include "backend/gradient_backend.h"
#include "base/parallel.h"
#include "kernels/kernels.h"

namespace nautile {

// One thread's working memory; grows, never shrinks.
class Workspace {
 public:
  // At least `bytes`, 64-byte aligned; the contents of an earlier call are lost.
  std::byte* reserve(std::size_t bytes);

 private:
  struct Free {
    void operator()(std::byte* p) const;
  };
  std::unique_ptr<std::byte, Free> memory_;
  std::size_t size_ = 0;
};

class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(const CpuOptions& options);
  // On a table that kernels::table() does not know; it must outlive the backend.
  CpuBackend(const CpuOptions& options, const kernels::Kernels& table);

  std::string describe() const override;
  int threads() const override { return pool_.threads(); }
  ComputeClass compute_class(Format format) const override;
  void products(std::span<const Product> list, std::optional<ComputeClass> forced) override;
  void products_transposed(std::span<const Product> list) override;
  void embed(const Weight& table, std::span<const std::int32_t> tokens, Tensor y) override;
  void rms_norm(const float* x, std::size_t x_stride, std::int64_t rows, const float* gain,
                std::int64_t width, float eps, float* y, std::size_t y_stride) override;
  void rope(float* x, std::size_t row_stride, std::size_t head_stride, std::int64_t heads,
            std::span<const std::int32_t> positions, const float* cos, const float* sin,
            std::int64_t half, RopeOrder order) override;
  void silu_mul(Tensor gate, Tensor up, Tensor y) override;
  void add(Tensor a, Tensor b, Tensor y) override;
  void store_rows(const float* x, std::size_t x_stride, std::int64_t rows, std::int64_t width,
                  Format format, std::byte* const* out) override;
  void load_rows(const KvRows& rows, std::int64_t count, Format format, Tensor y) override;
  void attend(const float* q, std::span<const QuerySpan> spans, const AttendShape& shape,
              float* out) override;
  void route(Tensor scores, const float* bias, const RouteRule& rule, std::int32_t* chosen,
             float* weights) override;
  void combine(Tensor rows, const std::int32_t* slot, const float* weights, int chosen,
               Tensor out) override;
  void gather(Tensor x, std::span<const std::int32_t> index, Tensor y) override;
  void attend_fresh(const FreshAttention& a, float* out, float* lse) override;
  void log_sum_exp(Tensor logits, float* lse) override;
  GradientBackend& gradients() override;

 private:
  friend class GemmRun;
  friend class AttentionRun;
  friend class AttentionGradientRun;
  friend class CpuGradients;

  const kernels::Kernels& kernels_;
  CpuOptions options_;
  ThreadPool pool_;
  std::vector<Workspace> workspaces_;           // one per thread
  Workspace shared_;                            // packed inputs of a product
  std::unique_ptr<GradientBackend> gradients_;  // made when first asked for
};

}  // namespace nautile
