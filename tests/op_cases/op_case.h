// op_case.h — OpCase: one op with inputs and its formula in double. One case feeds four uses:
// comparison with the formula, gradient check by finite differences, parity of instruction sets and
// threads, and the benchmark of ops.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ops/ops.h"

namespace nautile::testing {

// An input of an op: an activation, which gets a value's gradient, or a parameter, which gets a
// parameter's.
struct OpInput {
  std::string name;
  Shape shape;
  enum class Kind : std::uint8_t { activation, parameter } kind = Kind::activation;
  double spread = 1;  // normal numbers times this
  double center = 0;
};

// The inputs of one run. Parameters are F32 weights whose ParamId is their place among all inputs
// plus one.
struct OpArguments {
  std::vector<Tensor> values;       // activations; parameters have no data here
  std::span<const Weight> weights;  // parameters; the OpRun's, for a tape refers to them
  const Tensor& x(std::size_t i) const { return values[i]; }
  const Weight& w(std::size_t i) const { return weights[i]; }
  Vector vector(std::size_t i) const {
    return {reinterpret_cast<const float*>(weights[i].data), weights[i].param};
  }
};

using Numbers = std::vector<double>;

struct OpCase {
  std::string name;
  std::vector<OpInput> inputs;
  std::function<Tensor(Context&, const OpArguments&)> run;
  std::function<Numbers(const std::vector<Numbers>&)> formula;  // flat, row-major
  std::int64_t terms = 1;  // longest sum that an element of a result or gradient takes
  double flops = 0;        // of the forward pass: multiply and add count as two
  // round_to changes numbers that its gradient does not see: the comparison with the formula allows
  // this much, relative.
  double rounding = 0;
};

enum class OpSize : std::uint8_t { small, training };
std::vector<OpCase> op_cases(OpSize size);

// The parts of op_cases, by the file they are in.
std::vector<OpCase> row_op_cases(OpSize size);
std::vector<OpCase> linear_op_cases(OpSize size);
std::vector<OpCase> attention_op_cases(OpSize size);
std::vector<OpCase> expert_op_cases(OpSize size);

// A case's inputs in memory, the same for a seed on every machine, and what runs on them.
class OpRun {
 public:
  OpRun(const OpCase& op, std::uint64_t seed);

  const std::vector<Numbers>& numbers() const { return numbers_; }
  Tensor forward(Context& ctx);

  struct Result {
    std::vector<float> y;
    std::vector<std::vector<float>> gradients;  // per input
  };
  // The same on a given arena, whose memory is used again; nothing is copied out.
  void train(Backend& backend, Arena& arena, std::span<const float> cotangent);
  // Forward, then back from `cotangent` (repeated over the result's elements).
  Result both(Backend& backend, std::span<const float> cotangent, Keep keep = Keep::everything);

 private:
  struct Pass {
    Tensor y;
    std::vector<Tensor> back;  // gradients of activations
  };
  Pass pass(Context& ctx, std::span<const float> cotangent, ParamGradients& sums);

  const OpCase& op_;
  std::vector<Numbers> numbers_;
  std::vector<std::vector<float>> floats_;
  std::vector<Weight> weights_;
  OpArguments arguments_;
  std::unique_ptr<ParamGradients> sums_;
};

}  // namespace nautile::testing
