// recompute.cpp — a block whose insides are not kept.
#include <algorithm>
#include <memory>

#include "ops/ops.h"

namespace nautile::ops {
namespace {

// The block once more, on a tape of its own, and back through it. Only dx outlives the call.
void pull_back_block(Context& ctx, Gradients& gradients, Tensor x, Tensor y, const Block& f,
                     float attached_scale) {
  const Tensor dy = gradients.take(y), dx = gradients.make(ctx, x.shape);
  {
    Arena::Scope scope(ctx.scratch);
    Tape inner(Keep::everything, Tape::Replay::yes);
    inner.attached_scale = attached_scale;
    Context again{ctx.backend, ctx.scratch, &inner, ctx.experts};
    const Tensor in = inner.name(Tensor{x.data, x.shape});
    const Tensor out = f(again, in);
    const Tensor back = inner.backward(again, out, dy, gradients.params(), {in})[0];
    if (back.data) {
      std::copy_n(back.data, back.elements(), dx.data);
    } else {
      std::fill_n(dx.data, dx.elements(), 0.0f);
    }
  }
  gradients.release(dy);
  gradients.give(ctx, x, dx);
}

}  // namespace

Tensor recompute(Context& ctx, Tensor x, Block f) {
  if (ctx.tape && ctx.tape->keep() == Keep::everything) return f(ctx, x);
  Tensor result = ctx.tape ? make_tensor(ctx.scratch, x.shape) : x;
  {
    Arena::Scope scope(ctx.scratch);
    Context plain{ctx.backend, ctx.scratch, nullptr, ctx.experts};
    const Tensor y = f(plain, Tensor{x.data, x.shape});
    NAUTILE_ASSERT(y.shape == x.shape, "recompute: {} became {}", x.shape, y.shape);
    std::copy_n(y.data, y.elements(), result.data);
  }
  if (!ctx.tape) return result;
  result = ctx.tape->name(result);
  ctx.tape->record({result}, [x, result, f = std::move(f), scale = ctx.tape->attached_scale](
                                 Context& back, Gradients& gradients) {
    pull_back_block(back, gradients, x, result, f, scale);
  });
  return result;
}

}  // namespace nautile::ops
