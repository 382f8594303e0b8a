// tensors.h — the tensors of a model as its official checkpoint names them, and their random
// values.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "make_model/facts.h"
#include "tensor/shape.h"

namespace nautile::make_model {

// What a tensor is for: it decides the spread of its values and the format it is stored in.
enum class Role { matrix, residual, embedding, head, norm, router, routing_bias, bias, projection };

// A tensor of the checkpoint: [out, in] or [n].
struct TensorSpec {
  std::string name;
  Shape shape;
  Role role = Role::matrix;
  std::string
      values_of;  // the tensor whose values it has: its own name, or the one it is shared with
};

// In the order of a checkpoint: embedding, layers, final norm, head; MTP layers after them.
std::vector<TensorSpec> list_tensors(const Facts& facts);

// Random values: a pure function of seed, tensor, row and column, so they do not depend on the
// order or the number of threads in which they are made, and a GGUF has the values of the folder
// with the same seed. Nearly normal (four uniforms summed, cut at 3.46 deviations).
class Values {
 public:
  Values(const Facts& facts, std::uint64_t seed, double std)
      : facts_(facts), seed_(seed), std_(std) {}

  // One tensor's stream.
  class Stream {
   public:
    // out[c] = value at (row, c), 0 <= c < columns
    void row(std::int64_t row, std::int64_t columns, float* out) const;
    // out[r] = value at (first + r, column), 0 <= r < count; rows have `columns` values
    void column(std::int64_t column, std::int64_t columns, std::int64_t first, std::int64_t count,
                float* out) const;

   private:
    friend class Values;
    float at(std::uint64_t index) const;
    std::uint64_t key_ = 0;
    float mean_ = 0;
    float step_ = 0;
  };
  Stream stream(const TensorSpec& spec) const;

 private:
  const Facts& facts_;
  std::uint64_t seed_;
  double std_;
};

}  // namespace nautile::make_model
