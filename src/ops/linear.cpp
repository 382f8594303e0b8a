// linear.cpp — embed and the weight products: y = x·wᵀ + b, dx = dy·w, dw = dyᵀ·x, db = Σ dy; and
// what an adapter adds to them.
#include <algorithm>

#include "ops/ops.h"

namespace nautile::ops {
namespace {

using Write = GradientBackend::Write;

std::size_t width(Tensor x) {
  return static_cast<std::size_t>(x.cols());
}

Product product_of(const LinearPart& part, Tensor y) {
  const Weight& w = part.weight;
  NAUTILE_CHECK(w.present() && w.shape.rank() == 2 && part.x.cols() == w.cols() &&
                    part.begin >= 0 && part.begin + part.count <= part.x.rows() &&
                    part.x.rows() == y.rows() && y.cols() == w.rows(),
                "linear: rows {}+{} of x {} times {} {} into {}", part.begin, part.count,
                part.x.shape, w.name, w.shape, y.shape);
  return Product{.w = matrix(w),
                 .x = part.x.row(part.begin),
                 .x_stride = width(part.x),
                 .m = part.count,
                 .y = y.row(part.begin),
                 .y_stride = width(y),
                 .bias = part.bias};
}

// The gradient of a weight that is trained, or null. Quantized weights have none: their values are
// not numbers that an optimizer could move.
float* weight_gradient(const Gradients& gradients, const Weight& w, std::uint32_t source = 0) {
  float* dw = gradients.param(w.param, source);
  NAUTILE_CHECK(!dw || !is_quantized(w.format),
                "{} is {}: a quantized weight passes gradients on but cannot be trained itself. "
                "Train an adapter (LoRA), or start from BF16 weights",
                w.name, info(w.format).name);
  return dw;
}

ComputeClass gradient_class(const Context& ctx, const Weight& w,
                            std::optional<ComputeClass> forced) {
  const ComputeClass forward = forced.value_or(ctx.backend.compute_class(w.format));
  return forward == ComputeClass::i8 ? ComputeClass::bf16 : forward;
}

// dw of every part of results `which`, products of a class together.
void add_weight_gradients(Context& ctx, const Gradients& gradients,
                          std::span<const LinearPart> parts, std::span<const Tensor> dys,
                          std::optional<ComputeClass> forced) {
  std::vector<OuterProduct> list[kComputeClassCount];
  for (const LinearPart& part : parts) {
    const Tensor dy = dys[part.result];
    float* dw =
        dy.data && part.count ? weight_gradient(gradients, part.weight, part.source) : nullptr;
    if (!dw) continue;
    list[static_cast<int>(gradient_class(ctx, part.weight, forced))].push_back(
        {.dy = dy.row(part.begin),
         .dy_stride = width(dy),
         .x = part.x.row(part.begin),
         .x_stride = width(part.x),
         .m = part.count,
         .out = part.weight.rows(),
         .in = part.weight.cols(),
         .dw = dw,
         .dw_stride = static_cast<std::size_t>(part.weight.cols())});
  }
  for (int c = 0; c < kComputeClassCount; ++c) {
    if (!list[c].empty())
      ctx.backend.gradients().weight_gradients(list[c], static_cast<ComputeClass>(c));
  }
}

// dx of every input of the parts, one result after the other.
void give_input_gradients(Context& ctx, Gradients& gradients, std::span<const LinearPart> parts,
                          std::span<const Tensor> dys, std::optional<ComputeClass> forced) {
  // The parts of the first result that reads an input cover its rows; later results add to them.
  struct Input {
    Tensor x, dx;
    std::size_t first_result;
  };
  std::vector<Input> inputs;
  for (std::size_t result = 0; result < dys.size(); ++result) {
    if (!dys[result].data) continue;
    std::vector<Product> fresh, more;
    for (const LinearPart& part : parts) {
      if (part.result != result || part.x.id == 0) continue;
      const auto same = [&](const Input& i) { return i.x.id == part.x.id; };
      auto input = std::find_if(inputs.begin(), inputs.end(), same);
      if (input == inputs.end())
        input = inputs.insert(input, {part.x, gradients.make(ctx, part.x.shape), result});
      (input->first_result == result ? fresh : more)
          .push_back({.w = matrix(part.weight),
                      .x = dys[result].row(part.begin),
                      .x_stride = width(dys[result]),
                      .m = part.count,
                      .y = input->dx.row(part.begin),
                      .y_stride = width(input->dx)});
    }
    if (!fresh.empty()) ctx.backend.gradients().input_gradients(fresh, Write::replace, forced);
    if (!more.empty()) ctx.backend.gradients().input_gradients(more, Write::add, forced);
  }
  for (const Input& input : inputs) gradients.give(ctx, input.x, input.dx);
}

std::vector<Tensor> products(Context& ctx, std::span<const LinearPart> parts,
                             std::span<const Shape> results, std::span<const Vector> biases,
                             std::optional<ComputeClass> forced) {
  std::vector<Tensor> ys;
  for (const Shape& shape : results) ys.push_back(make_tensor(ctx.scratch, shape));
  std::vector<Product> list;
  for (const LinearPart& part : parts) list.push_back(product_of(part, ys[part.result]));
  ctx.backend.products(list, forced);
  if (!ctx.tape) return ys;
  for (Tensor& y : ys) y = ctx.tape->name(y);
  ctx.tape->record(ys, [ys, parts = std::vector<LinearPart>(parts.begin(), parts.end()),
                        biases = std::vector<Vector>(biases.begin(), biases.end()),
                        forced](Context& back, Gradients& gradients) {
    std::vector<Tensor> dys;
    for (const Tensor& y : ys) dys.push_back(gradients.has(y) ? gradients.take(y) : Tensor{});
    for (std::size_t i = 0; i < biases.size(); ++i) {
      float* db = dys[i].data ? gradients.param(biases[i].param) : nullptr;
      if (db) back.backend.gradients().bias_gradient(dys[i], db);
    }
    add_weight_gradients(back, gradients, parts, dys, forced);
    give_input_gradients(back, gradients, parts, dys, forced);
    for (const Tensor& dy : dys) {
      if (dy.data) gradients.release(dy);
    }
  });
  return ys;
}

// y + scale·(x·Aᵀ)·Bᵀ for result `index`, if its weights have adapters: all of them or none, of one
// rank and scale. A and B are weights like others, so gradients need nothing of their own.
Tensor with_adapters(Context& ctx, std::span<const LinearPart> parts, std::size_t index, Tensor y) {
  std::vector<LinearPart> low, high;
  const LowRank* first = nullptr;
  bool bare = false;
  for (const LinearPart& part : parts) {
    if (part.result != index) continue;
    const LowRank* adapter = part.weight.adapter;
    bare = bare || !adapter;
    if (!adapter) continue;
    if (!first) first = adapter;
    NAUTILE_ASSERT(adapter->scale == first->scale && adapter->a->rows() == first->a->rows(),
                   "{}: adapters of several ranks in one result", part.weight.name);
    low.push_back({part.x, *adapter->a, part.begin, part.count, 0});
    high.push_back({{}, *adapter->b, part.begin, part.count, 0});
  }
  if (!first) return y;
  NAUTILE_ASSERT(!bare, "{}: a result of weights with and without adapters", low[0].weight.name);
  const Shape inner{y.rows(), first->a->rows()};
  const Tensor x = products(ctx, low, {&inner, 1}, {}, std::nullopt)[0];
  for (LinearPart& part : high) part.x = x;
  const Tensor more = products(ctx, high, {&y.shape, 1}, {}, std::nullopt)[0];
  return add(ctx, y, scale(ctx, more, first->scale));
}

// The products of the weights themselves, then what adapters add.
std::vector<Tensor> adapted_products(Context& ctx, std::span<const LinearPart> parts,
                                     std::span<const Shape> results, std::span<const Vector> biases,
                                     std::optional<ComputeClass> forced) {
  std::vector<Tensor> ys = products(ctx, parts, results, biases, forced);
  for (std::size_t i = 0; i < ys.size(); ++i) ys[i] = with_adapters(ctx, parts, i, ys[i]);
  return ys;
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
  if (!ctx.tape) return y;
  y = ctx.tape->name(y);
  ctx.tape->record({y}, [y, &table, tokens](Context& back, Gradients& gradients) {
    const Tensor dy = gradients.take(y);
    if (float* dtable = weight_gradient(gradients, table))
      back.backend.gradients().embed_gradient(dy, tokens, dtable);
    gradients.release(dy);
  });
  return y;
}

std::vector<Tensor> grouped_linear(Context& ctx, std::span<const LinearPart> parts,
                                   std::span<const Shape> results) {
  return adapted_products(ctx, parts, results, {}, std::nullopt);
}

std::vector<Tensor> linears(Context& ctx, Tensor x, std::initializer_list<LinearWeight> weights) {
  std::vector<LinearPart> parts;
  std::vector<Shape> results;
  std::vector<Vector> biases;
  for (const LinearWeight& w : weights) {
    parts.push_back({x, w.weight, 0, x.rows(), results.size(), w.bias.data});
    results.push_back({x.rows(), w.weight.rows()});
    biases.push_back(w.bias);
  }
  return adapted_products(ctx, parts, results, biases, std::nullopt);
}

Tensor linear(Context& ctx, Tensor x, const Weight& weight) {
  return linears(ctx, x, {{weight}})[0];
}

Tensor linear_exact(Context& ctx, Tensor x, const Weight& weight) {
  const LinearPart part{x, weight, 0, x.rows(), 0};
  const Shape result{x.rows(), weight.rows()};
  return products(ctx, {&part, 1}, {&result, 1}, {}, ComputeClass::f32)[0];
}

}  // namespace nautile::ops
