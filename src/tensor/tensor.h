// tensor.h — Tensor: a non-owning view of F32 numbers in an Arena, dense, last extent contiguous.
#pragma once

#include <cstdint>

#include "tensor/arena.h"
#include "tensor/shape.h"

namespace nautile {

// Activations are F32 from op to op; a compute class rounds them where a product needs it. `id` is
// the tape's name for the value (0: none), by which gradients are found.
struct Tensor {
  float* data = nullptr;
  Shape shape;
  std::uint32_t id = 0;

  std::int64_t rows() const { return shape.rows(); }
  std::int64_t cols() const { return shape.cols(); }
  std::int64_t elements() const { return shape.elements(); }
  float* row(std::int64_t i) const { return data + i * cols(); }
};

inline Tensor make_tensor(Arena& arena, Shape shape) {
  return Tensor{arena.array<float>(static_cast<std::size_t>(shape.elements())), shape};
}

}  // namespace nautile
