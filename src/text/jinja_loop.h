// jinja_loop.h — the `loop` variable of a running for statement.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "text/jinja_machine.h"

namespace nautile::jinja {

struct LoopObject : Object {
  std::vector<Value> items;
  std::size_t at = 0;          // index of the current item
  int depth0 = 0;              // of recursive loops
  std::vector<Value> changed;  // arguments of the last loop.changed()
  bool changed_called = false;
  // Renders the loop's body over other items; empty unless the loop is marked recursive.
  std::function<Value(const Value& items, int depth0)> recurse;

  // loop.index, loop.first, …; undefined for other names.
  Value attribute(Machine& machine, const std::string& name);
};

}  // namespace nautile::jinja
