#include "model/ffn.h"

namespace nautile {
namespace {

std::size_t index(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

// One product per expert that has rows. `pick` chooses the expert's weight.
template <class Pick>
void add_products(std::vector<Product>& list, const MoeWeights& w, const ops::Dispatched& d,
                  Tensor x, Tensor y, Pick pick) {
  for (std::size_t e = 0; e < w.experts.size(); ++e) {
    const std::int64_t begin = d.begin[e], count = d.begin[e + 1] - begin;
    if (count == 0) continue;
    list.push_back({.w = matrix(pick(w.experts[e])),
                    .x = x.row(begin),
                    .x_stride = index(x.cols()),
                    .m = count,
                    .y = y.row(begin),
                    .y_stride = index(y.cols())});
  }
}

Product product(const Weight& w, Tensor x, Tensor y) {
  return {.w = matrix(w),
          .x = x.data,
          .x_stride = index(x.cols()),
          .m = x.rows(),
          .y = y.data,
          .y_stride = index(y.cols())};
}

}  // namespace

Tensor dense_forward(Context& ctx, const FfnWeights& w, Tensor x) {
  const std::vector<Tensor> gate_up = ops::linears(ctx, x, {{w.gate.weight}, {w.up.weight}});
  return ops::linear(ctx, ops::silu_mul(ctx, gate_up[0], gate_up[1]), w.down.weight);
}

Tensor moe_forward(Context& ctx, const MoeConfig& config, const MoeWeights& w, Tensor x, int layer,
                   const RoutingWatch& watch) {
  const ops::Routing routing = ops::route(ctx, ops::linear_exact(ctx, x, w.router.weight),
                                          w.router_bias.floats(), config.route);
  if (watch) watch(layer, routing);
  const ops::Dispatched d = ops::dispatch(ctx, x, routing, config.route.experts);
  const std::int64_t copies = d.rows.rows();
  Tensor gate = make_tensor(ctx.scratch, {copies, config.width}),
         up = make_tensor(ctx.scratch, {copies, config.width});
  Tensor rows = make_tensor(ctx.scratch, {copies, x.cols()}),
         out = make_tensor(ctx.scratch, x.shape);
  const bool has_shared = config.shared_width > 0;
  Tensor shared_gate{}, shared_up{};

  // All experts and the shared one in two passes: gate and up, then down.
  std::vector<Product> products;
  add_products(products, w, d, d.rows, gate,
               [](const FfnWeights& e) -> const Weight& { return e.gate.weight; });
  add_products(products, w, d, d.rows, up,
               [](const FfnWeights& e) -> const Weight& { return e.up.weight; });
  if (has_shared) {
    shared_gate = make_tensor(ctx.scratch, {x.rows(), config.shared_width});
    shared_up = make_tensor(ctx.scratch, {x.rows(), config.shared_width});
    products.push_back(product(w.shared.gate.weight, x, shared_gate));
    products.push_back(product(w.shared.up.weight, x, shared_up));
  }
  ctx.backend.products(products, std::nullopt);
  const Tensor hidden = ops::silu_mul(ctx, gate, up);
  products.clear();
  add_products(products, w, d, hidden, rows,
               [](const FfnWeights& e) -> const Weight& { return e.down.weight; });
  if (has_shared) {
    products.push_back(
        product(w.shared.down.weight, ops::silu_mul(ctx, shared_gate, shared_up), out));
  } else {
    std::fill(out.data, out.data + out.elements(), 0.0f);
  }
  ctx.backend.products(products, std::nullopt);
  ops::combine(ctx, rows, d, routing, out);
  return out;
}

}  // namespace nautile
