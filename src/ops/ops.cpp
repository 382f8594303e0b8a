#include "ops/ops.h"

#include <numeric>

namespace nautile::ops {
namespace {

Product product_of(Tensor x, const Weight& weight, Tensor y, const float* bias) {
  NAUTILE_CHECK(weight.present() && weight.shape.rank() == 2 && x.cols() == weight.cols(),
                "linear: x is {} but {} is {}", x.shape, weight.name, weight.shape);
  return Product{.w = matrix(weight),
                 .x = x.data,
                 .x_stride = static_cast<std::size_t>(x.cols()),
                 .m = x.rows(),
                 .y = y.data,
                 .y_stride = static_cast<std::size_t>(y.cols()),
                 .bias = bias};
}

}  // namespace

Tensor embed(Context& ctx, const Weight& table, std::span<const std::int32_t> tokens) {
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    NAUTILE_CHECK(tokens[i] >= 0 && tokens[i] < table.rows(),
                  "embed: token {} at row {} is outside {} {}", tokens[i], i, table.name,
                  table.shape);
  }
  Tensor y = make_tensor(ctx.scratch, {static_cast<std::int64_t>(tokens.size()), table.cols()});
  ctx.backend.embed(table, tokens, y);
  return y;
}

std::vector<Tensor> linears(Context& ctx, Tensor x, std::initializer_list<LinearWeight> weights) {
  std::vector<Tensor> results;
  std::vector<Product> products;
  for (const LinearWeight& w : weights) {
    results.push_back(make_tensor(ctx.scratch, {x.rows(), w.weight.rows()}));
    products.push_back(product_of(x, w.weight, results.back(), w.bias));
  }
  ctx.backend.products(products, std::nullopt);
  return results;
}

Tensor linear(Context& ctx, Tensor x, const Weight& weight) {
  return linears(ctx, x, {{weight}})[0];
}

Tensor linear_exact(Context& ctx, Tensor x, const Weight& weight) {
  Tensor y = make_tensor(ctx.scratch, {x.rows(), weight.rows()});
  const Product product = product_of(x, weight, y, nullptr);
  ctx.backend.products({&product, 1}, ComputeClass::f32);
  return y;
}

Tensor rms_norm(Context& ctx, Tensor x, const float* gain, float eps) {
  Tensor y = make_tensor(ctx.scratch, x.shape);
  const std::size_t stride = static_cast<std::size_t>(x.cols());
  ctx.backend.rms_norm(x.data, stride, x.rows(), gain, x.cols(), eps, y.data, stride);
  return y;
}

void rms_norm_columns(Context& ctx, Tensor x, std::int64_t column, std::int64_t width,
                      const float* gain, float eps) {
  NAUTILE_CHECK(column >= 0 && column + width <= x.cols(), "rms_norm: columns {}+{} of {}", column,
                width, x.shape);
  const std::size_t stride = static_cast<std::size_t>(x.cols());
  ctx.backend.rms_norm(x.data + column, stride, x.rows(), gain, width, eps, x.data + column,
                       stride);
}

void rope(Context& ctx, Tensor x, std::int64_t column, std::int64_t head_width, std::int64_t heads,
          std::span<const std::int32_t> positions, const RopeTable& table) {
  NAUTILE_CHECK(static_cast<std::int64_t>(positions.size()) == x.rows() &&
                    column + (heads - 1) * head_width + 2 * table.half <= x.cols(),
                "rope: x is {}, {} positions, {} heads of {} from column {}", x.shape,
                positions.size(), heads, head_width, column);
  for (std::int32_t position : positions) {
    NAUTILE_CHECK(position >= 0 && position < table.positions(),
                  "rope: position {} is outside the context of {}", position, table.positions());
  }
  ctx.backend.rope(x.data + column, static_cast<std::size_t>(x.cols()),
                   static_cast<std::size_t>(head_width), heads, positions, table.cos.data(),
                   table.sin.data(), table.half, table.order);
}

Tensor silu_mul(Context& ctx, Tensor gate, Tensor up) {
  NAUTILE_CHECK(gate.shape == up.shape, "silu_mul: gate is {} but up is {}", gate.shape, up.shape);
  Tensor y = make_tensor(ctx.scratch, gate.shape);
  ctx.backend.silu_mul(gate, up, y);
  return y;
}

Tensor add(Context& ctx, Tensor a, Tensor b) {
  NAUTILE_CHECK(a.shape == b.shape, "add: a is {} but b is {}", a.shape, b.shape);
  Tensor y = make_tensor(ctx.scratch, a.shape);
  ctx.backend.add(a, b, y);
  return y;
}

Routing route(Context& ctx, Tensor scores, const float* bias, const RouteRule& rule) {
  NAUTILE_CHECK(scores.cols() == rule.experts, "route: scores are {} but there are {} experts",
                scores.shape, rule.experts);
  const std::size_t count = static_cast<std::size_t>(scores.rows() * rule.chosen);
  Routing routing{{ctx.scratch.array<std::int32_t>(count), count},
                  {ctx.scratch.array<float>(count), count},
                  rule.chosen};
  ctx.backend.route(scores, bias, rule, routing.chosen.data(), routing.weights.data());
  return routing;
}

Dispatched dispatch(Context& ctx, Tensor x, const Routing& routing, int experts) {
  const std::size_t copies = routing.chosen.size(),
                    per_token = static_cast<std::size_t>(routing.per_token);
  Dispatched d;
  d.begin = {ctx.scratch.array<std::int32_t>(static_cast<std::size_t>(experts) + 1),
             static_cast<std::size_t>(experts) + 1};
  d.slot = {ctx.scratch.array<std::int32_t>(copies), copies};
  std::span<std::int32_t> source{ctx.scratch.array<std::int32_t>(copies), copies};
  std::fill(d.begin.begin(), d.begin.end(), 0);
  for (std::int32_t e : routing.chosen) ++d.begin[static_cast<std::size_t>(e) + 1];
  std::partial_sum(d.begin.begin(), d.begin.end(), d.begin.begin());
  std::vector<std::int32_t> next(d.begin.begin(), d.begin.end() - 1);
  for (std::size_t i = 0; i < copies; ++i) {  // tokens ascending inside an expert
    const std::int32_t at = next[static_cast<std::size_t>(routing.chosen[i])]++;
    d.slot[i] = at;
    source[static_cast<std::size_t>(at)] = static_cast<std::int32_t>(i / per_token);
  }
  d.rows = make_tensor(ctx.scratch, {static_cast<std::int64_t>(copies), x.cols()});
  ctx.backend.gather(x, source, d.rows);
  return d;
}

void combine(Context& ctx, Tensor rows, const Dispatched& where, const Routing& routing,
             Tensor out) {
  NAUTILE_CHECK(
      rows.cols() == out.cols() && static_cast<std::size_t>(rows.rows()) == where.slot.size(),
      "combine: rows are {} but out is {}", rows.shape, out.shape);
  ctx.backend.combine(rows, where.slot.data(), routing.weights.data(), routing.per_token, out);
}

}  // namespace nautile::ops
