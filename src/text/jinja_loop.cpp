// jinja_loop.cpp — attributes of `loop`.
#include "text/jinja_loop.h"

namespace nautile::jinja {

Value LoopObject::attribute(Machine& machine, const std::string& name) {
  if (name == "index") return Value::of(at + 1);
  if (name == "index0") return Value::of(at);
  if (name == "first") return Value::of(at == 0);
  if (name == "last") return Value::of(at + 1 == items.size());
  if (name == "length") return Value::of(items.size());
  if (name == "revindex") return Value::of(items.size() - at);
  if (name == "revindex0") return Value::of(items.size() - at - 1);
  if (name == "depth") return Value::of(std::int64_t{depth0} + 1);
  if (name == "depth0") return Value::of(std::int64_t{depth0});
  if (name == "previtem") {
    return at > 0 ? items[at - 1] : machine.undefined("there is no previous item");
  }
  if (name == "nextitem") {
    return at + 1 < items.size() ? items[at + 1] : machine.undefined("there is no next item");
  }
  if (name == "cycle") {
    return machine.function("cycle", [this](Machine& m, const Arguments& arguments) {
      if (arguments.positional.empty() || !arguments.named.empty()) {
        m.fail("loop.cycle() needs items to cycle through");
      }
      return arguments.positional[at % arguments.positional.size()];
    });
  }
  if (name == "changed") {
    return machine.function("changed", [this](Machine& m, const Arguments& arguments) {
      if (!arguments.named.empty()) m.fail("loop.changed() takes no named arguments");
      bool same = changed_called && changed.size() == arguments.positional.size();
      for (std::size_t i = 0; same && i < changed.size(); ++i) {
        same = equal(m, changed[i], arguments.positional[i]);
      }
      changed = arguments.positional;
      changed_called = true;
      return Value::of(!same);
    });
  }
  return machine.undefined("'LoopContext' object has no attribute '" + name + "'");
}

}  // namespace nautile::jinja
