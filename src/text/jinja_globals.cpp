// jinja_globals.cpp — global functions as Hugging Face's template environment defines them.
#include "text/jinja_globals.h"

#include "text/jinja_ops.h"

namespace nautile::jinja {
namespace {

constexpr std::int64_t kMaxRange = 100'000;  // jinja2's sandbox draws the same line

Value range(Machine& machine, const Arguments& arguments) {
  if (!arguments.named.empty()) machine.fail("range() takes no named arguments");
  const Bound bound(machine, "range", arguments, {"start", "stop", "step"}, 1);
  const bool single = !bound.has(1);
  const std::int64_t start = single ? 0 : bound.integer(0, 0);
  const std::int64_t stop = single ? bound.integer(0, 0) : bound.integer(1, 0);
  const std::int64_t step = bound.integer(2, 1);
  if (step == 0) machine.fail("range() step must not be zero");
  std::vector<Value> items;
  for (std::int64_t i = start; step > 0 ? i < stop : i > stop;) {
    if (static_cast<std::int64_t>(items.size()) >= kMaxRange) {
      machine.fail("range budget exhausted ({} items)", kMaxRange);
    }
    items.push_back(Value::of(i));
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  machine.step(items.size() / 8);
  const Value value = machine.sequence(Kind::range, std::move(items));
  value.sequence().start = start;
  value.sequence().stop = stop;
  value.sequence().stride = step;
  return value;
}

// dict(mapping or pairs, **named) into a fresh dict.
DictObject* build_dict(Machine& machine, const Arguments& arguments) {
  DictObject* dict = machine.new_dict();
  if (arguments.positional.size() > 1) machine.fail("dict() takes at most one positional argument");
  for (const Value& source : arguments.positional) {
    require_defined(machine, source);
    if (source.is(Kind::dict)) {
      machine.step(source.dict().entries.size());
      for (const auto& [key, value] : source.dict().entries) machine.put(*dict, key, value);
      continue;
    }
    Value item;
    for (Iterator walk(machine, source); walk.next(item);) {
      const std::vector<Value> pair = to_items(machine, item);
      if (pair.size() != 2) machine.fail("dict() wants pairs, found {} items", pair.size());
      machine.put(*dict, pair[0], pair[1]);
    }
  }
  for (const auto& [name, value] : arguments.named) machine.put(*dict, machine.string(name), value);
  return dict;
}

Value dict(Machine& machine, const Arguments& arguments) {
  return Value::of(Kind::dict, build_dict(machine, arguments));
}

Value names(Machine& machine, const Arguments& arguments) {
  DictObject* dict = build_dict(machine, arguments);
  for (const auto& [key, value] : dict->entries) {
    if (key.is(Kind::string) && key.text().view().starts_with('_')) {
      machine.fail("a namespace cannot hold '{}': names must not start with '_'",
                   key.text().bytes());
    }
  }
  return Value::of(Kind::names, dict);
}

Value raise_exception(Machine& machine, const Arguments& arguments) {
  const Bound bound(machine, "raise_exception", arguments, {"message"}, 1);
  machine.fail("the template refuses: {}", to_text(machine, bound[0]).bytes());
}

Value strftime(Machine& machine, const Arguments& arguments, std::time_t now) {
  const Bound bound(machine, "strftime_now", arguments, {"format"}, 1);
  const Text& format = bound.text(0);
  if (format.size() > 1024) machine.fail("strftime_now: format is longer than 1024 bytes");
  std::tm local{};
  localtime_r(&now, &local);
  std::string buffer(16384, '\0');
  // A trailing mark tells an empty result from a failure.
  const std::size_t size =
      std::strftime(buffer.data(), buffer.size(), (format.bytes() + "|").c_str(), &local);
  if (size == 0) machine.fail("strftime_now: the result is too long");
  buffer.resize(size - 1);
  return machine.string(std::move(buffer), format.has_user() ? Origin::user : Origin::format);
}

}  // namespace

Value find_global(Machine& machine, std::string_view name, std::time_t now, bool& found) {
  found = true;
  if (name == "range") return machine.function("range", range);
  if (name == "dict") return machine.function("dict", dict);
  if (name == "namespace") return machine.function("namespace", names);
  if (name == "raise_exception") return machine.function("raise_exception", raise_exception);
  if (name == "strftime_now") {
    return machine.function("strftime_now", [now](Machine& m, const Arguments& arguments) {
      return strftime(m, arguments, now);
    });
  }
  for (const char* unsupported : {"lipsum", "cycler", "joiner"}) {
    if (name != unsupported) continue;
    return machine.function(unsupported, [unsupported](Machine& m, const Arguments&) -> Value {
      m.unsupported("global function {}()", unsupported);
    });
  }
  found = false;
  return Value();
}

}  // namespace nautile::jinja
