// rows.cpp — what is done to each row by itself: norm, rope, silu_mul, add, scale, rounding, and
// the moving of columns and rows.
#include <algorithm>

#include "ops/ops.h"

namespace nautile::ops {
namespace {

std::size_t width(Tensor x) {
  return static_cast<std::size_t>(x.cols());
}

// Copies `count` columns of every row.
void copy_columns(Tensor from, std::int64_t from_column, Tensor to, std::int64_t to_column,
                  std::int64_t count) {
  for (std::int64_t t = 0; t < from.rows(); ++t)
    std::copy_n(from.row(t) + from_column, count, to.row(t) + to_column);
}

}  // namespace

// y = x·gain/r, r = √(mean x² + eps);  dx = (g − x·(x·g)/(D·r²))/r with g = gain·dy,
// dgain = Σ_t dy·x/r
Tensor rms_norm(Context& ctx, Tensor x, Vector gain, float eps) {
  Tensor y = make_tensor(ctx.scratch, x.shape);
  ctx.backend.rms_norm(x.data, width(x), x.rows(), gain.data, x.cols(), eps, y.data, width(y));
  if (!ctx.tape) return y;
  y = ctx.tape->name(y);
  ctx.tape->record({y}, [x, y, gain, eps](Context& back, Gradients& gradients) {
    const Tensor dy = gradients.take(y), dx = gradients.make(back, x.shape);
    back.backend.gradients().rms_norm_gradient(x, gain.data, eps, dy, dx,
                                               gradients.param(gain.param));
    gradients.release(dy);
    gradients.give(back, x, dx);
  });
  return y;
}

// Rotation by an angle; the gradient rotates back.
Tensor rope(Context& ctx, Tensor x, std::int64_t column, std::int64_t head_width,
            std::int64_t heads, std::span<const std::int32_t> positions, const RopeTable& table) {
  NAUTILE_CHECK(static_cast<std::int64_t>(positions.size()) == x.rows() &&
                    column + (heads - 1) * head_width + 2 * table.half <= x.cols(),
                "rope: x is {}, {} positions, {} heads of {} from column {}", x.shape,
                positions.size(), heads, head_width, column);
  for (std::int32_t position : positions) {
    NAUTILE_CHECK(position >= 0 && position < table.positions(),
                  "rope: position {} is outside the context of {}", position, table.positions());
  }
  ctx.backend.rope(x.data + column, width(x), static_cast<std::size_t>(head_width), heads,
                   positions, table.cos.data(), table.sin.data(), table.half, table.order);
  if (!ctx.tape) return x;
  const Tensor y = ctx.tape->name(x);
  ctx.tape->record({y}, [x, y, column, head_width, heads, positions, &table](Context& back,
                                                                             Gradients& gradients) {
    const Tensor dy = gradients.take(y);
    back.backend.gradients().rope_gradient(
        dy.data + column, width(dy), static_cast<std::size_t>(head_width), heads, positions,
        table.cos.data(), table.sin.data(), table.half, table.order);
    gradients.give(back, x, dy);
  });
  return y;
}

Halves split(Context& ctx, Tensor x, std::int64_t left) {
  NAUTILE_CHECK(left >= 0 && left <= x.cols(), "split: {} columns of {}", left, x.shape);
  const std::int64_t right = x.cols() - left;
  Halves y{make_tensor(ctx.scratch, {x.rows(), left}), make_tensor(ctx.scratch, {x.rows(), right})};
  copy_columns(x, 0, y.left, 0, left);
  copy_columns(x, left, y.right, 0, right);
  if (!ctx.tape) return y;
  y = {ctx.tape->name(y.left), ctx.tape->name(y.right)};
  ctx.tape->record({y.left, y.right}, [x, y](Context& back, Gradients& gradients) {
    const Tensor dx = gradients.make(back, x.shape);
    std::int64_t column = 0;
    for (const Tensor& half : {y.left, y.right}) {
      if (gradients.has(half)) {
        const Tensor dy = gradients.take(half);
        copy_columns(dy, 0, dx, column, dy.cols());
        gradients.release(dy);
      } else {
        for (std::int64_t t = 0; t < dx.rows(); ++t)
          std::fill_n(dx.row(t) + column, half.cols(), 0.0f);
      }
      column += half.cols();
    }
    gradients.give(back, x, dx);
  });
  return y;
}

Tensor join(Context& ctx, Tensor left, Tensor right) {
  NAUTILE_CHECK(left.rows() == right.rows(), "join: left is {} but right is {}", left.shape,
                right.shape);
  Tensor y = make_tensor(ctx.scratch, {left.rows(), left.cols() + right.cols()});
  copy_columns(left, 0, y, 0, left.cols());
  copy_columns(right, 0, y, left.cols(), right.cols());
  if (!ctx.tape) return y;
  y = ctx.tape->name(y);
  ctx.tape->record({y}, [left, right, y](Context& back, Gradients& gradients) {
    const Tensor dy = gradients.take(y), dleft = gradients.make(back, left.shape),
                 dright = gradients.make(back, right.shape);
    copy_columns(dy, 0, dleft, 0, left.cols());
    copy_columns(dy, left.cols(), dright, 0, right.cols());
    gradients.release(dy);
    gradients.give(back, left, dleft);
    gradients.give(back, right, dright);
  });
  return y;
}

Tensor take_rows(Context& ctx, Tensor x, std::span<const std::int32_t> index) {
  std::int32_t last = -1;
  for (std::int32_t row : index) {
    NAUTILE_CHECK(row > last && row < x.rows(), "take_rows: row {} after {} of {}", row, last,
                  x.shape);
    last = row;
  }
  Tensor y = make_tensor(ctx.scratch, {static_cast<std::int64_t>(index.size()), x.cols()});
  ctx.backend.gather(x, index, y);
  if (!ctx.tape) return y;
  y = ctx.tape->name(y);
  ctx.tape->record({y}, [x, y, index](Context& back, Gradients& gradients) {
    const Tensor dy = gradients.take(y), dx = gradients.make(back, x.shape);
    std::fill_n(dx.data, dx.elements(), 0.0f);
    for (std::size_t i = 0; i < index.size(); ++i)
      std::copy_n(dy.row(static_cast<std::int64_t>(i)), dy.cols(), dx.row(index[i]));
    gradients.release(dy);
    gradients.give(back, x, dx);
  });
  return y;
}

// Straight through: dx = dy (Bengio, Léonard, Courville 2013).
Tensor round_to(Context& ctx, Tensor x, Format format) {
  if (format == Format::f32) return x;
  const std::size_t rows = static_cast<std::size_t>(x.rows()), bytes = row_bytes(format, width(x));
  Tensor y = make_tensor(ctx.scratch, x.shape);
  {
    Arena::Scope scope(ctx.scratch);
    std::byte* data = ctx.scratch.allocate(rows * bytes);
    std::vector<std::byte*> row(rows);
    for (std::size_t i = 0; i < rows; ++i) row[i] = data + i * bytes;
    ctx.backend.store_rows(x.data, width(x), x.rows(), x.cols(), format, row.data());
    const std::byte* page = data;
    ctx.backend.load_rows(KvRows{&page, std::max<std::int64_t>(1, x.rows()), 0, bytes}, x.rows(),
                          format, y);
  }
  if (!ctx.tape) return y;
  y = ctx.tape->name(y);
  ctx.tape->record({y}, [x, y](Context& back, Gradients& gradients) {
    gradients.give(back, x, gradients.take(y));
  });
  return y;
}

// silu(a) = a·σ(a);  dgate = dy·up·σ·(1 + gate·(1 − σ)), dup = dy·silu(gate)
Tensor silu_mul(Context& ctx, Tensor gate, Tensor up) {
  NAUTILE_CHECK(gate.shape == up.shape, "silu_mul: gate is {} but up is {}", gate.shape, up.shape);
  Tensor y = make_tensor(ctx.scratch, gate.shape);
  ctx.backend.silu_mul(gate, up, y);
  if (!ctx.tape) return y;
  y = ctx.tape->name(y);
  ctx.tape->record({y}, [gate, up, y](Context& back, Gradients& gradients) {
    const Tensor dy = gradients.take(y), dgate = gradients.make(back, gate.shape),
                 dup = gradients.make(back, up.shape);
    back.backend.gradients().silu_mul_gradient(gate, up, dy, dgate, dup);
    gradients.release(dy);
    gradients.give(back, gate, dgate);
    gradients.give(back, up, dup);
  });
  return y;
}

Tensor add(Context& ctx, Tensor a, Tensor b) {
  NAUTILE_CHECK(a.shape == b.shape, "add: a is {} but b is {}", a.shape, b.shape);
  Tensor y = make_tensor(ctx.scratch, a.shape);
  ctx.backend.add(a, b, y);
  if (!ctx.tape) return y;
  y = ctx.tape->name(y);
  ctx.tape->record({y}, [a, b, y](Context& back, Gradients& gradients) {
    const Tensor dy = gradients.take(y);
    if (a.id && b.id) gradients.give(back, b, gradients.copy(back, dy));
    gradients.give(back, a.id ? a : b, dy);
  });
  return y;
}

Tensor scale(Context& ctx, Tensor x, float factor) {
  Tensor y = make_tensor(ctx.scratch, x.shape);
  ctx.backend.gradients().blend(factor, x.data, 0, x.elements(), y.data);
  if (!ctx.tape) return y;
  y = ctx.tape->name(y);
  ctx.tape->record({y}, [x, y, factor](Context& back, Gradients& gradients) {
    const Tensor dy = gradients.take(y), dx = gradients.make(back, x.shape);
    back.backend.gradients().blend(factor, dy.data, 0, dy.elements(), dx.data);
    gradients.release(dy);
    gradients.give(back, x, dx);
  });
  return y;
}

}  // namespace nautile::ops
