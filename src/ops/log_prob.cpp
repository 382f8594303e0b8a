// log_prob.cpp — log-probabilities fused with the head, in chunks of rows, and the losses made of
// them.
//
// y_i = z_i[target] − log Σ_j exp z_i[j] with z = x·headᵀ;  dz_i = dy_i·(onehot − softmax z_i). The
// logits of a chunk are computed again on the way back: no [n, W] is ever held.
#include <algorithm>

#include "ops/ops.h"

namespace nautile::ops {
namespace {

// Rows whose logits are held at a time: about 16 MiB of them.
std::int64_t chunk_rows(const Weight& head) {
  return std::clamp<std::int64_t>((std::int64_t{4} << 20) / head.rows(), 16, 1024);
}

// Logits of rows [begin, begin + count) of x.
Tensor chunk_logits(Context& ctx, Tensor x, const Weight& head, std::int64_t begin,
                    std::int64_t count) {
  const Tensor z = make_tensor(ctx.scratch, {count, head.rows()});
  const Product product{.w = matrix(head),
                        .x = x.row(begin),
                        .x_stride = static_cast<std::size_t>(x.cols()),
                        .m = count,
                        .y = z.data,
                        .y_stride = static_cast<std::size_t>(z.cols())};
  ctx.backend.products({&product, 1}, std::nullopt);
  return z;
}

void pull_back_chunk(Context& ctx, const Gradients& gradients, Tensor x, const Weight& head,
                     std::span<const std::int32_t> targets, std::int64_t begin, const float* lse,
                     const float* dy, Tensor dx) {
  Arena::Scope scope(ctx.scratch);
  const std::int64_t count = static_cast<std::int64_t>(targets.size());
  Tensor z = chunk_logits(ctx, x, head, begin, count);
  std::vector<float> scale(targets.size());
  for (std::size_t i = 0; i < targets.size(); ++i) scale[i] = targets[i] < 0 ? 0.0f : -dy[i];
  GradientBackend& back = ctx.backend.gradients();
  back.log_prob_gradient(z, targets, lse, scale.data());
  const std::size_t stride = static_cast<std::size_t>(z.cols()),
                    x_stride = static_cast<std::size_t>(x.cols());
  const Product product{.w = matrix(head),
                        .x = z.data,
                        .x_stride = stride,
                        .m = count,
                        .y = dx.row(begin),
                        .y_stride = x_stride};
  back.input_gradients({&product, 1}, GradientBackend::Write::replace, std::nullopt);
  float* dw = gradients.param(head.param);
  if (!dw) return;
  NAUTILE_CHECK(!is_quantized(head.format), "{} is {}: a quantized weight cannot be trained itself",
                head.name, info(head.format).name);
  const OuterProduct outer{.dy = z.data,
                           .dy_stride = stride,
                           .x = x.row(begin),
                           .x_stride = x_stride,
                           .m = count,
                           .out = head.rows(),
                           .in = head.cols(),
                           .dw = dw,
                           .dw_stride = x_stride};
  back.weight_gradients({&outer, 1}, ctx.backend.compute_class(head.format));
}

}  // namespace

Tensor log_prob(Context& ctx, Tensor x, const Weight& head, std::span<const std::int32_t> targets) {
  NAUTILE_CHECK(static_cast<std::int64_t>(targets.size()) == x.rows() && x.cols() == head.cols(),
                "log_prob: x is {}, {} is {}, {} targets", x.shape, head.name, head.shape,
                targets.size());
  for (std::size_t i = 0; i < targets.size(); ++i) {
    NAUTILE_CHECK(targets[i] < head.rows(), "log_prob: target {} at row {} is outside {} {}",
                  targets[i], i, head.name, head.shape);
  }
  const std::int64_t n = x.rows(), chunk = chunk_rows(head);
  Tensor y = make_tensor(ctx.scratch, {n}), lse = make_tensor(ctx.scratch, {n});
  for (std::int64_t begin = 0; begin < n; begin += chunk) {
    Arena::Scope scope(ctx.scratch);
    const std::int64_t count = std::min(chunk, n - begin);
    const Tensor z = chunk_logits(ctx, x, head, begin, count);
    ctx.backend.log_sum_exp(z, lse.data + begin);
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int32_t target = targets[static_cast<std::size_t>(begin + i)];
      y.data[begin + i] = target < 0 ? 0.0f : z.row(i)[target] - lse.data[begin + i];
    }
  }
  if (!ctx.tape) return y;
  y = ctx.tape->name(y);
  ctx.tape->record({y}, [x, y, lse, &head, targets, chunk](Context& back, Gradients& gradients) {
    const Tensor dy = gradients.take(y), dx = gradients.make(back, x.shape);
    for (std::int64_t begin = 0; begin < x.rows(); begin += chunk) {
      const std::int64_t count = std::min(chunk, x.rows() - begin);
      pull_back_chunk(
          back, gradients, x, head,
          targets.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(count)), begin,
          lse.data + begin, dy.data + begin, dx);
    }
    gradients.release(dy);
    gradients.give(back, x, dx);
  });
  return y;
}

Tensor weighted_sum(Context& ctx, Tensor x, std::span<const float> weights) {
  NAUTILE_CHECK(static_cast<std::int64_t>(weights.size()) == x.elements(),
                "weighted_sum: {} weights for {}", weights.size(), x.shape);
  double sum = 0;
  for (std::size_t i = 0; i < weights.size(); ++i)
    sum += static_cast<double>(weights[i]) * static_cast<double>(x.data[i]);
  Tensor y = make_tensor(ctx.scratch, {1});
  y.data[0] = static_cast<float>(sum);
  if (!ctx.tape) return y;
  y = ctx.tape->name(y);
  ctx.tape->record({y}, [x, y, weights](Context& back, Gradients& gradients) {
    const Tensor dy = gradients.take(y), dx = gradients.make(back, x.shape);
    for (std::size_t i = 0; i < weights.size(); ++i) dx.data[i] = dy.data[0] * weights[i];
    gradients.release(dy);
    gradients.give(back, x, dx);
  });
  return y;
}

Tensor cross_entropy(Context& ctx, Tensor x, const Weight& head,
                     std::span<const std::int32_t> targets, std::span<const float> weights,
                     double total) {
  NAUTILE_CHECK(total > 0, "cross_entropy: the weights of {} targets sum to {}", targets.size(),
                total);
  const Tensor sum = weighted_sum(ctx, log_prob(ctx, x, head, targets), weights);
  return scale(ctx, sum, static_cast<float>(-1 / total));
}

}  // namespace nautile::ops
