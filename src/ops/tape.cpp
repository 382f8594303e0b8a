#include "ops/tape.h"

#include <algorithm>

#include "ops/context.h"

namespace nautile {

Tensor Gradients::take(Tensor value) {
  const auto found = values_.find(value.id);
  NAUTILE_ASSERT(found != values_.end(), "value {} has no gradient", value.id);
  const Tensor gradient = found->second;
  NAUTILE_ASSERT(gradient.elements() == value.elements(), "gradient of {} for a value of {}",
                 gradient.shape, value.shape);
  values_.erase(found);
  return Tensor{gradient.data, value.shape};
}

Tensor Gradients::make(Context& ctx, Shape shape) {
  std::vector<float*>& unused = free_[shape.elements()];
  if (unused.empty()) return make_tensor(ctx.scratch, shape);
  float* data = unused.back();
  unused.pop_back();
  return Tensor{data, shape};
}

void Gradients::give(Context& ctx, Tensor value, Tensor gradient) {
  if (value.id == 0) return release(gradient);
  NAUTILE_ASSERT(gradient.elements() == value.elements(), "gradient of {} for a value of {}",
                 gradient.shape, value.shape);
  const auto [found, first] = values_.try_emplace(value.id, gradient);
  if (first) return;
  ctx.backend.gradients().accumulate(gradient.data, gradient.elements(), found->second.data);
  release(gradient);
}

void Gradients::release(Tensor gradient) {
  free_[gradient.elements()].push_back(gradient.data);
}

Tensor Gradients::copy(Context& ctx, Tensor gradient) {
  const Tensor twin = make(ctx, gradient.shape);
  std::copy_n(gradient.data, gradient.elements(), twin.data);
  return twin;
}

void Tape::record(std::vector<Tensor> results, PullBack pull_back, Run run) {
  steps_.push_back({std::move(results), std::move(pull_back), run});
}

std::vector<Tensor> Tape::backward(Context& ctx, Tensor value, Tensor gradient,
                                   ParamGradients& params, std::vector<Tensor> inputs) {
  Gradients gradients(params);
  gradients.give(ctx, value, gradients.copy(ctx, gradient));
  while (!steps_.empty()) {
    const Step step = std::move(steps_.back());
    steps_.pop_back();
    const auto wanted = [&](Tensor result) { return gradients.has(result); };
    if (step.run == Run::always || std::any_of(step.results.begin(), step.results.end(), wanted))
      step.pull_back(ctx, gradients);
  }
  for (Tensor& input : inputs)
    input = gradients.has(input) ? gradients.take(input) : Tensor{nullptr, input.shape};
  return inputs;
}

}  // namespace nautile
