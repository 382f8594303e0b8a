// tape.h — Tape: what ops note down in the forward pass so that gradients can flow back through it.
//
// Every result of an op gets a ValueId; the op records a pull-back that turns the gradients of its
// results into gradients of its inputs. A pull-back may keep only what outlives the forward pass:
// inputs and results of ops in memory that is not rewound, or nothing (ops::recompute).
#pragma once

#include <cstdint>
#include <functional>
#include <unordered_map>
#include <vector>

#include "tensor/tensor.h"

namespace nautile {

struct Context;

using ValueId = std::uint32_t;  // dense from 1; 0: a constant, which gets no gradient
using ParamId = std::uint32_t;  // of Weight and Vector; 0: frozen

// Where gradients of parameters are summed. Owned by whoever trains.
class ParamGradients {
 public:
  virtual ~ParamGradients() = default;
  // The parameter's gradient to add to, F32 in the order of its elements; null: not wanted.
  // `source` says whose rows it comes from: 0 for this process's own, else as ops::ExpertRows
  // counts.
  virtual float* find(ParamId param, std::uint32_t source) = 0;
};

// Gradients of values on the way back. Buffers are F32 in ctx.scratch and are used again.
class Gradients {
 public:
  explicit Gradients(ParamGradients& params) : params_(params) {}

  bool has(Tensor value) const { return values_.contains(value.id); }
  // The gradient of a value, shaped like it; it becomes the caller's, to give on or to release.
  Tensor take(Tensor value);
  // A buffer with undefined contents.
  Tensor make(Context& ctx, Shape shape);
  // Adds `gradient` to the value's; takes the buffer. A constant's is dropped.
  void give(Context& ctx, Tensor value, Tensor gradient);
  void release(Tensor gradient);
  // A copy, for a gradient that goes to two values.
  Tensor copy(Context& ctx, Tensor gradient);

  float* param(ParamId id, std::uint32_t source = 0) const {
    return id ? params_.find(id, source) : nullptr;
  }
  ParamGradients& params() const { return params_; }

 private:
  ParamGradients& params_;
  std::unordered_map<ValueId, Tensor> values_;
  std::unordered_map<std::int64_t, std::vector<float*>> free_;  // by number of elements
};

using PullBack = std::function<void(Context&, Gradients&)>;

// Whether ops::recompute keeps what a block computed, or computes it again on the way back.
enum class Keep : std::uint8_t { everything, block_inputs };

class Tape {
 public:
  // Replay::yes for the tape that ops::recompute makes on the way back.
  enum class Replay : std::uint8_t { no, yes };
  explicit Tape(Keep keep, Replay replay = Replay::no) : keep_(keep), replay_(replay) {}

  Keep keep() const { return keep_; }
  Replay replay() const { return replay_; }

  // Losses joined by ops::attach_loss count this much in the objective.
  float attached_scale = 1;

  // The same numbers under a new name.
  Tensor name(Tensor value) {
    value.id = ++last_;
    return value;
  }
  // `pull_back` runs if any of the results has a gradient by then; in any case where other
  // processes wait for it.
  enum class Run : std::uint8_t { if_wanted, always };
  void record(std::vector<Tensor> results, PullBack pull_back, Run run = Run::if_wanted);

  // Runs the pull-backs in reverse, starting from `gradient` of `value`; gradients of parameters
  // are added to `params`. Leaves the gradients of `inputs` (values that no op of this tape made)
  // in the result, in order; one without a gradient has no data. The tape is empty afterwards.
  std::vector<Tensor> backward(Context& ctx, Tensor value, Tensor gradient, ParamGradients& params,
                               std::vector<Tensor> inputs = {});

 private:
  struct Step {
    std::vector<Tensor> results;
    PullBack pull_back;
    Run run;
  };
  Keep keep_;
  Replay replay_;
  ValueId last_ = 0;
  std::vector<Step> steps_;
};

}  // namespace nautile
