#include "train/muon.h"

#include <algorithm>
#include <cmath>

namespace nautile::train {
namespace {

// Coefficients of Jordan et al.: steepest at 0 while singular values end near 1.
constexpr float kA = 3.4445f, kB = -4.7750f, kC = 2.0315f;
constexpr int kSteps = 5;

MatrixView view(const float* data, std::int64_t rows, std::int64_t cols) {
  MatrixView w;
  w.format = Format::f32;
  w.data = reinterpret_cast<const std::byte*>(data);
  w.row_stride = static_cast<std::size_t>(cols) * sizeof(float);
  w.rows = rows;
  w.cols = cols;
  return w;
}

Product product(const MatrixView& w, const float* x, std::int64_t m, std::int64_t k, float* y,
                std::int64_t n) {
  return {.w = w,
          .x = x,
          .x_stride = static_cast<std::size_t>(k),
          .m = m,
          .y = y,
          .y_stride = static_cast<std::size_t>(n)};
}

float get(float x) {
  return x;
}
float get(bf16 x) {
  return to_float(x);
}
void put(float x, float& y) {
  y = x;
}
void put(float x, bf16& y) {
  y = to_bf16(x);
}

// update = g' + μ·m with m = μ·m + g', g' = g·scale.
template <class T>
void nesterov(std::span<const float> g, double scale, double momentum, std::span<T> m,
              std::vector<float>& update) {
  const float mu = static_cast<float>(momentum), by = static_cast<float>(scale);
  update.resize(g.size());
  for (std::size_t i = 0; i < g.size(); ++i) {
    const float gradient = g[i] * by, moment = mu * get(m[i]) + gradient;
    put(moment, m[i]);
    update[i] = gradient + mu * moment;
  }
}

template <class T>
void step_all(Muon& muon, Backend& backend, ParamSet& params, std::span<const float> gradients,
              double scale, double rate, const OptimizerConfig& config, std::span<T> momentum,
              std::vector<float>& update) {
  for (const Param& p : params.params()) {
    if (!p.owned || !moves_by_muon(p)) continue;
    nesterov(gradients.subspan(p.offset, p.count), scale, config.momentum,
             momentum.subspan(p.offset, p.count), update);
    const std::int64_t rows = p.info.shape.rows(), cols = p.info.shape.cols();
    muon.orthogonalize(backend, rows, cols, update.data());
    const double size = 0.2 * std::sqrt(static_cast<double>(std::max(rows, cols)));
    backend.gradients().blend(static_cast<float>(-rate * size), update.data(),
                              static_cast<float>(1 - rate * config.decay),
                              static_cast<std::int64_t>(p.count), params.master(p).data());
  }
}

}  // namespace

void Muon::step(Backend& backend, ParamSet& params, std::span<const float> gradients, double scale,
                double rate, const OptimizerConfig& config, std::span<float> momentum) {
  step_all(*this, backend, params, gradients, scale, rate, config, momentum, update_);
}

void Muon::step(Backend& backend, ParamSet& params, std::span<const float> gradients, double scale,
                double rate, const OptimizerConfig& config, std::span<bf16> momentum) {
  step_all(*this, backend, params, gradients, scale, rate, config, momentum, update_);
}

// x = a·x + (b·G + c·G²)·x with G = x·xᵀ; for tall x the other way round, so that G is small.
void Muon::orthogonalize(Backend& backend, std::int64_t rows, std::int64_t cols, float* x) {
  const std::int64_t n = rows * cols, side = std::min(rows, cols);
  const double norm = std::sqrt(backend.gradients().sum_of_squares(x, n));
  backend.gradients().blend(static_cast<float>(1 / (norm + 1e-7)), x, 0, n, x);
  gram_.resize(static_cast<std::size_t>(side * side));
  square_.resize(gram_.size());
  next_.resize(static_cast<std::size_t>(n));
  for (int i = 0; i < kSteps; ++i) {
    if (rows <= cols) {
      const Product g = product(view(x, rows, cols), x, rows, cols, gram_.data(), side);
      backend.products({&g, 1}, ComputeClass::f32);
    } else {  // xᵀ·x, as the gradient of a product is
      std::fill(gram_.begin(), gram_.end(), 0.0f);
      const std::size_t stride = static_cast<std::size_t>(cols);
      const OuterProduct g{.dy = x,
                           .dy_stride = stride,
                           .x = x,
                           .x_stride = stride,
                           .m = rows,
                           .out = cols,
                           .in = cols,
                           .dw = gram_.data(),
                           .dw_stride = stride};
      backend.gradients().weight_gradients({&g, 1}, ComputeClass::f32);
    }
    const Product square =
        product(view(gram_.data(), side, side), gram_.data(), side, side, square_.data(), side);
    backend.products({&square, 1}, ComputeClass::f32);
    backend.gradients().blend(kC, square_.data(), kB, side * side, gram_.data());
    if (rows <= cols) {
      const Product p = product(view(x, rows, cols), gram_.data(), side, side, next_.data(), cols);
      backend.products_transposed({&p, 1});
    } else {  // gram_ is symmetric: x·gram_ᵀ
      const Product p = product(view(gram_.data(), side, side), x, rows, cols, next_.data(), cols);
      backend.products({&p, 1}, ComputeClass::f32);
    }
    backend.gradients().blend(1, next_.data(), kA, n, x);
  }
}

}  // namespace nautile::train
