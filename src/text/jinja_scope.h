// jinja_scope.h — variables of a running template: a chain of scopes.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "text/jinja_machine.h"

namespace nautile::jinja {

// Variables set at one level. The outermost scope of a render is dense; inner ones are short lists.
struct Scope : Object {
  explicit Scope(Scope* outer, std::size_t symbols = 0) : parent(outer), dense(symbols) {}

  struct Slot {
    Value value;
    bool set = false;
  };

  // The innermost value of the symbol, or null.
  const Value* find(Machine& machine, int symbol) const {
    for (const Scope* scope = this; scope != nullptr; scope = scope->parent) {
      if (!scope->dense.empty()) {
        const Slot& slot = scope->dense[static_cast<std::size_t>(symbol)];
        if (slot.set) return &slot.value;
        continue;
      }
      machine.step(scope->sparse.size() / 16);
      for (const auto& [name, value] : scope->sparse) {
        if (name == symbol) return &value;
      }
    }
    return nullptr;
  }

  void set(Machine& machine, int symbol, const Value& value) {
    if (!dense.empty()) {
      dense[static_cast<std::size_t>(symbol)] = {value, true};
      return;
    }
    machine.step(sparse.size() / 16);
    for (auto& [name, old] : sparse) {
      if (name == symbol) {
        old = value;
        return;
      }
    }
    machine.charge(sizeof(sparse[0]));
    sparse.emplace_back(symbol, value);
  }

  // Forgets everything, so that the next iteration of a loop can use the scope again.
  void reset() { sparse.clear(); }

  Scope* parent;
  std::vector<Slot> dense;
  std::vector<std::pair<int, Value>> sparse;
  bool captured = false;  // a macro defined here still needs it
};

}  // namespace nautile::jinja
