// jinja_methods.cpp — the table of methods and those of dicts and lists; strings' are in
// jinja_strings.cpp.
#include "text/jinja_methods.h"

#include <algorithm>

#include "text/jinja_format.h"
#include "text/jinja_ops.h"
#include "text/jinja_strings.h"

namespace nautile::jinja {
namespace {

// Python's names of mutators, which the sandbox hides.
bool is_mutator(Kind kind, const std::string& name) {
  static constexpr const char* kDict[] = {"clear", "pop", "popitem", "setdefault", "update"};
  static constexpr const char* kList[] = {"append", "clear", "pop",    "reverse",
                                          "insert", "sort",  "extend", "remove"};
  const auto is_name = [&](const char* candidate) { return name == candidate; };
  if (kind == Kind::dict) return std::any_of(std::begin(kDict), std::end(kDict), is_name);
  if (kind == Kind::list) return std::any_of(std::begin(kList), std::end(kList), is_name);
  return false;
}

using Method = Value (*)(Machine&, const Value& self, const Arguments&);

Value dict_view(Machine& machine, const Value& self, Kind kind) {
  std::vector<Value> items;
  const auto& entries = self.dict().entries;
  machine.charge(entries.size() * sizeof(Value));
  machine.step(entries.size() / 8);
  items.reserve(entries.size());
  for (const auto& [key, value] : entries) {
    if (kind == Kind::keys) {
      items.push_back(key);
    } else if (kind == Kind::values) {
      items.push_back(value);
    } else {
      items.push_back(machine.tuple({key, value}));
    }
  }
  return machine.sequence(kind, std::move(items));
}

Value dict_keys(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound none(machine, "keys", arguments, {}, 0);
  return dict_view(machine, self, Kind::keys);
}

Value dict_values(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound none(machine, "values", arguments, {}, 0);
  return dict_view(machine, self, Kind::values);
}

Value dict_items(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound none(machine, "items", arguments, {}, 0);
  return dict_view(machine, self, Kind::items);
}

Value dict_get(Machine& machine, const Value& self, const Arguments& arguments) {
  if (!arguments.named.empty()) machine.fail("get() takes no named arguments");
  const Bound bound(machine, "get", arguments, {"key", "default"}, 1);
  const Value* found = machine.get(self.dict(), bound[0]);
  return found != nullptr ? *found : bound.get(1, Value::none());
}

// Values are immutable, so a copy may be the thing itself.
Value same(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound none(machine, "copy", arguments, {}, 0);
  return self;
}

Value sequence_count(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound bound(machine, "count", arguments, {"value"}, 1);
  std::int64_t count = 0;
  for (const Value& item : self.sequence().items) count += equal(machine, item, bound[0]) ? 1 : 0;
  return Value::of(count);
}

Value sequence_index(Machine& machine, const Value& self, const Arguments& arguments) {
  const Bound bound(machine, "index", arguments, {"value", "start", "stop"}, 1);
  const auto& items = self.sequence().items;
  const auto size = static_cast<std::int64_t>(items.size());
  const auto clip = [&](std::int64_t i) {
    return std::clamp<std::int64_t>(i < 0 ? i + size : i, 0, size);
  };
  const std::int64_t stop = clip(bound.integer(2, size));
  for (std::int64_t i = clip(bound.integer(1, 0)); i < stop; ++i) {
    if (equal(machine, items[static_cast<std::size_t>(i)], bound[0])) return Value::of(i);
  }
  machine.fail("value is not in the {}", type_name(self));
}

Method method_of(Kind kind, const std::string& name) {
  if (kind == Kind::dict) {
    if (name == "keys") return dict_keys;
    if (name == "values") return dict_values;
    if (name == "items") return dict_items;
    if (name == "get") return dict_get;
    if (name == "copy") return same;
  }
  if (kind == Kind::list || kind == Kind::tuple || kind == Kind::range) {
    if (name == "count") return sequence_count;
    if (name == "index") return sequence_index;
    if (name == "copy" && kind == Kind::list) return same;
  }
  if (kind == Kind::string) return string_method(name);
  return nullptr;
}

}  // namespace

Value find_method(Machine& machine, const Value& object, const std::string& name, bool& found) {
  found = true;
  if (is_mutator(object.kind, name)) {
    return machine.undefined(
        fmt::format("access to attribute '{}' of '{}' object is unsafe", name, type_name(object)));
  }
  const Method method = method_of(object.kind, name);
  if (method != nullptr) {
    return machine.function(name, [method, object](Machine& m, const Arguments& arguments) {
      return method(m, object, arguments);
    });
  }
  if (object.is(Kind::string) && is_unsupported_string_method(name)) {
    return machine.function(name, [name](Machine& m, const Arguments&) -> Value {
      m.unsupported("method str.{}()", name);
    });
  }
  found = false;
  return Value();
}

}  // namespace nautile::jinja
