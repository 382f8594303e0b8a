#include "model/ffn.h"

namespace nautile {
namespace {

// Every expert that has rows, on its rows. `pick` chooses the expert's weight.
template <class Pick>
void add_experts(std::vector<ops::LinearPart>& parts, const MoeWeights& w,
                 const ops::ExpertRows& rows, Tensor x, std::size_t result, Pick pick) {
  for (const ops::ExpertRows::Part& part : rows.parts) {
    const Slot& slot = pick(w.experts[static_cast<std::size_t>(part.expert)]);
    parts.push_back({x, slot.weight, part.begin, part.count, result, nullptr, part.source});
  }
}

// Tells `watch` of the balance loss and joins it to the objective.
Tensor balanced(Context& ctx, const MoeConfig& config, const MoeTraining& training, Tensor x,
                Tensor scores, int layer) {
  if (training.balance_alpha == 0 || training.rows.empty()) return x;
  const Tensor loss = ops::scale(ctx, ops::balance_loss(ctx, scores, config.route, training.rows),
                                 training.balance_alpha);
  if (training.watch && *training.watch && !ctx.replaying()) (*training.watch)(layer, loss.data[0]);
  return ops::attach_loss(ctx, x, loss);
}

}  // namespace

Tensor dense_forward(Context& ctx, const FfnWeights& w, Tensor x) {
  const std::vector<Tensor> gate_up = ops::linears(ctx, x, {{w.gate.weight}, {w.up.weight}});
  return ops::linear(ctx, ops::silu_mul(ctx, gate_up[0], gate_up[1]), w.down.weight);
}

Tensor moe_forward(Context& ctx, const MoeConfig& config, const MoeWeights& w, Tensor x, int layer,
                   const RoutingWatch& watch, const MoeTraining& training) {
  const Tensor scores = ops::linear_exact(ctx, x, w.router.weight);
  const ops::Routing routing = ops::route(ctx, scores, w.router_bias.floats(), config.route);
  if (watch && !ctx.replaying()) watch(layer, routing);
  x = balanced(ctx, config, training, x, scores, layer);
  const ops::Dispatched d = ops::dispatch(ctx, x, routing, config.route.experts);
  const ops::ExpertRows mine = ops::to_experts(ctx, d);
  const std::int64_t copies = mine.rows.rows();
  const bool has_shared = config.shared_width > 0;

  // All experts and the shared one in two passes: gate and up, then down.
  std::vector<ops::LinearPart> parts;
  std::vector<Shape> shapes{{copies, config.width}, {copies, config.width}};
  add_experts(parts, w, mine, mine.rows, 0,
              [](const FfnWeights& e) -> const Slot& { return e.gate; });
  add_experts(parts, w, mine, mine.rows, 1,
              [](const FfnWeights& e) -> const Slot& { return e.up; });
  if (has_shared) {
    shapes.insert(shapes.end(), 2, Shape{x.rows(), config.shared_width});
    parts.push_back({x, w.shared.gate.weight, 0, x.rows(), 2});
    parts.push_back({x, w.shared.up.weight, 0, x.rows(), 3});
  }
  const std::vector<Tensor> up = ops::grouped_linear(ctx, parts, shapes);
  parts.clear();
  shapes.assign(1, Shape{copies, x.cols()});
  add_experts(parts, w, mine, ops::silu_mul(ctx, up[0], up[1]), 0,
              [](const FfnWeights& e) -> const Slot& { return e.down; });
  if (has_shared) {
    shapes.push_back(x.shape);
    parts.push_back({ops::silu_mul(ctx, up[2], up[3]), w.shared.down.weight, 0, x.rows(), 1});
  }
  const std::vector<Tensor> down = ops::grouped_linear(ctx, parts, shapes);
  Tensor out;
  if (has_shared) {
    out = down[1];
  } else {
    out = make_tensor(ctx.scratch, x.shape);
    std::fill(out.data, out.data + out.elements(), 0.0f);
  }
  return ops::combine(ctx, ops::from_experts(ctx, down[0], mine, d), d, routing, out);
}

}  // namespace nautile
