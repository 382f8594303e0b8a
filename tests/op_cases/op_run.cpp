// op_run.cpp — running an OpCase.
#include "base/rng.h"
#include "tests/op_cases/op_case.h"

namespace nautile::testing {
namespace {

class Sums final : public ParamGradients {
 public:
  explicit Sums(const OpCase& op) : at(op.inputs.size()) {
    for (std::size_t i = 0; i < op.inputs.size(); ++i) {
      if (op.inputs[i].kind == OpInput::Kind::parameter)
        at[i].assign(static_cast<std::size_t>(op.inputs[i].shape.elements()), 0.0f);
    }
  }
  float* find(ParamId param, std::uint32_t) override { return at[param - 1].data(); }

  std::vector<std::vector<float>> at;
};

}  // namespace

OpRun::OpRun(const OpCase& op, std::uint64_t seed) : op_(op) {
  for (std::size_t i = 0; i < op.inputs.size(); ++i) {
    const OpInput& input = op.inputs[i];
    const std::size_t n = static_cast<std::size_t>(input.shape.elements());
    std::vector<float> floats(n);
    Numbers numbers(n);
    for (std::size_t j = 0; j < n; ++j) {
      floats[j] = static_cast<float>(input.center + input.spread * normal_pair(seed, j, i)[0]);
      numbers[j] = static_cast<double>(floats[j]);
    }
    floats_.push_back(std::move(floats));
    numbers_.push_back(std::move(numbers));
  }
}

// Activations are copied: some ops use theirs up.
Tensor OpRun::forward(Context& ctx) {
  weights_.assign(op_.inputs.size(), Weight());
  arguments_ = {std::vector<Tensor>(op_.inputs.size()), weights_};
  for (std::size_t i = 0; i < op_.inputs.size(); ++i) {
    const OpInput& input = op_.inputs[i];
    if (input.kind == OpInput::Kind::activation) {
      Tensor x = make_tensor(ctx.scratch, input.shape);
      std::copy(floats_[i].begin(), floats_[i].end(), x.data);
      arguments_.values[i] = ctx.tape ? ctx.tape->name(x) : x;
    } else {
      Weight& w = weights_[i];
      w.name = input.name;
      w.shape = input.shape;
      w.data = reinterpret_cast<const std::byte*>(floats_[i].data());
      w.param = static_cast<ParamId>(i + 1);
    }
  }
  return op_.run(ctx, arguments_);
}

OpRun::Pass OpRun::pass(Context& ctx, std::span<const float> cotangent, ParamGradients& sums) {
  const Tensor y = forward(ctx), dy = make_tensor(ctx.scratch, y.shape);
  for (std::int64_t i = 0; i < dy.elements(); ++i)
    dy.data[i] = cotangent[static_cast<std::size_t>(i) % cotangent.size()];
  return {y, ctx.tape->backward(ctx, y, dy, sums, arguments_.values)};
}

void OpRun::train(Backend& backend, Arena& arena, std::span<const float> cotangent) {
  Arena::Scope scope(arena);
  Tape tape(Keep::everything);
  Context ctx{backend, arena, &tape};
  if (!sums_) sums_ = std::make_unique<Sums>(op_);
  pass(ctx, cotangent, *sums_);
}

OpRun::Result OpRun::both(Backend& backend, std::span<const float> cotangent, Keep keep) {
  Arena arena(std::size_t{8} << 30);
  Tape tape(keep);
  Context ctx{backend, arena, &tape};
  Sums sums(op_);
  const auto [y, back] = pass(ctx, cotangent, sums);
  Result result;
  result.y.assign(y.data, y.data + y.elements());
  for (std::size_t i = 0; i < back.size(); ++i) {
    if (op_.inputs[i].kind == OpInput::Kind::parameter) {
      result.gradients.push_back(std::move(sums.at[i]));
    } else if (back[i].data) {
      result.gradients.emplace_back(back[i].data, back[i].data + back[i].elements());
    } else {
      result.gradients.emplace_back(static_cast<std::size_t>(back[i].elements()), 0.0f);
    }
  }
  return result;
}

std::vector<OpCase> op_cases(OpSize size) {
  std::vector<OpCase> all;
  for (auto make : {row_op_cases, linear_op_cases, attention_op_cases, expert_op_cases}) {
    for (OpCase& op : make(size)) all.push_back(std::move(op));
  }
  return all;
}

}  // namespace nautile::testing
