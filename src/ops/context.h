// context.h — Context: what every op is given; there are no globals.
#pragma once

#include "backend/backend.h"
#include "tensor/arena.h"

namespace nautile {

// Results of ops are allocated in `scratch` and live until the caller's scope on it closes.
struct Context {
  Backend& backend;
  Arena& scratch;
};

}  // namespace nautile
