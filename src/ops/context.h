// context.h — Context: what every op is given; there are no globals.
#pragma once

#include "backend/backend.h"
#include "backend/gradient_backend.h"
#include "ops/tape.h"
#include "tensor/arena.h"

namespace nautile {

struct ExpertGroup;

// Results of ops are allocated in `scratch` and live until the caller's scope on it closes. With a
// tape, ops record how gradients flow back; without one they are the same forward pass.
struct Context {
  Backend& backend;
  Arena& scratch;
  Tape* tape = nullptr;
  const ExpertGroup* experts = nullptr;  // null: this process has all of them

  // Whether a block is computed for the second time, on the way back: nobody is to be told twice.
  bool replaying() const { return tape && tape->replay() == Tape::Replay::yes; }
};

}  // namespace nautile
