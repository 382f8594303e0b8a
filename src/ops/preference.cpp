// preference.cpp — what losses over whole answers are made of: sums over spans, log σ.
#include <algorithm>
#include <cmath>

#include "ops/ops.h"

namespace nautile::ops {

// dx[i] = dy[span of i]; 0 outside of all spans.
Tensor span_sums(Context& ctx, Tensor x, std::span<const std::int32_t> bounds) {
  NAUTILE_CHECK(!bounds.empty() && bounds.front() >= 0 && bounds.back() <= x.elements(),
                "span_sums: {} bounds for {}", bounds.size(), x.shape);
  for (std::size_t s = 0; s + 1 < bounds.size(); ++s)
    NAUTILE_CHECK(bounds[s] <= bounds[s + 1], "span_sums: bound {} is {}, the next {}", s,
                  bounds[s], bounds[s + 1]);
  const std::size_t spans = bounds.size() - 1;
  Tensor y = make_tensor(ctx.scratch, {static_cast<std::int64_t>(spans)});
  for (std::size_t s = 0; s < spans; ++s) {
    double sum = 0;
    for (std::int32_t i = bounds[s]; i < bounds[s + 1]; ++i) sum += static_cast<double>(x.data[i]);
    y.data[s] = static_cast<float>(sum);
  }
  if (!ctx.tape) return y;
  y = ctx.tape->name(y);
  ctx.tape->record({y}, [x, y, bounds](Context& back, Gradients& gradients) {
    const Tensor dy = gradients.take(y), dx = gradients.make(back, x.shape);
    std::fill_n(dx.data, dx.elements(), 0.0f);
    for (std::size_t s = 0; s + 1 < bounds.size(); ++s)
      std::fill_n(dx.data + bounds[s], bounds[s + 1] - bounds[s], dy.data[s]);
    gradients.release(dy);
    gradients.give(back, x, dx);
  });
  return y;
}

// dx = dy·σ(−x)
Tensor log_sigmoid(Context& ctx, Tensor x) {
  Tensor y = make_tensor(ctx.scratch, x.shape);
  for (std::int64_t i = 0; i < x.elements(); ++i) {
    const double v = x.data[i];
    y.data[i] = static_cast<float>(v > 0 ? -std::log1p(std::exp(-v)) : v - std::log1p(std::exp(v)));
  }
  if (!ctx.tape) return y;
  y = ctx.tape->name(y);
  ctx.tape->record({y}, [x, y](Context& back, Gradients& gradients) {
    const Tensor dy = gradients.take(y), dx = gradients.make(back, x.shape);
    for (std::int64_t i = 0; i < x.elements(); ++i) {
      const double v = x.data[i];
      dx.data[i] = static_cast<float>(static_cast<double>(dy.data[i]) / (1 + std::exp(v)));
    }
    gradients.release(dy);
    gradients.give(back, x, dx);
  });
  return y;
}

}  // namespace nautile::ops
