// jinja_machine.cpp — object creation with accounting, and argument binding.
#include "text/jinja_machine.h"

namespace nautile::jinja {

void Machine::fail_with(ErrorKind kind, std::string message) const {
  throw Error(kind, line > 0 ? fmt::format("template line {}: {}", line, message) : message);
}

void Machine::over_steps() const {
  fail("step budget exhausted ({} steps)", budgets_.steps);
}

void Machine::over_heap() const {
  fail("memory budget exhausted ({} bytes of values)", budgets_.heap_bytes);
}

Value Machine::string(Text text, bool markup) {
  charge(text.size() + text.user().size() * sizeof(ByteRange));
  return Value::of(Kind::string, make<StringObject>(std::move(text), markup));
}

Value Machine::sequence(Kind kind, std::vector<Value> items) {
  charge(items.size() * sizeof(Value));
  auto* object = make<SequenceObject>();
  object->items = std::move(items);
  return Value::of(kind, object);
}

void Machine::put(DictObject& dict, const Value& key, const Value& value) {
  std::string hash;
  if (!hash_key(*this, key, hash)) fail("unhashable type: '{}'", type_name(key));
  charge(hash.size() + 2 * sizeof(Value) + 96);
  dict.set(std::move(hash), key, value);
}

const Value* Machine::get(const DictObject& dict, const Value& key) {
  std::string hash;
  if (!hash_key(*this, key, hash)) fail("unhashable type: '{}'", type_name(key));
  const auto at = dict.find(hash);
  return at < 0 ? nullptr : &dict.entries[static_cast<std::size_t>(at)].second;
}

const Value* Machine::get(const DictObject& dict, std::string_view key) {
  scan(key.size());
  const auto at = dict.find("s" + std::string(key));
  return at < 0 ? nullptr : &dict.entries[static_cast<std::size_t>(at)].second;
}

Value Machine::undefined(std::string message) {
  charge(message.size());
  return Value::of(Kind::undefined, make<UndefinedObject>(std::move(message)));
}

Value Machine::generator(std::function<bool(Value&)> next) {
  return Value::of(Kind::generator, make<GeneratorObject>(std::move(next)));
}

Value Machine::function(std::string name, std::function<Value(Machine&, const Arguments&)> call) {
  return Value::of(Kind::function, make<FunctionObject>(std::move(name), std::move(call)));
}

Bound::Bound(Machine& machine, std::string_view function, const Arguments& arguments,
             std::initializer_list<const char*> names, std::size_t required)
    : machine_(machine), function_(function), values_(names.size()), present_(names.size(), false) {
  if (arguments.positional.size() > names.size()) {
    machine.fail("{}() takes at most {} arguments, {} given", function, names.size(),
                 arguments.positional.size());
  }
  for (std::size_t i = 0; i < arguments.positional.size(); ++i) {
    values_[i] = arguments.positional[i];
    present_[i] = true;
  }
  for (const auto& [name, value] : arguments.named) {
    std::size_t i = 0;
    for (const char* candidate : names) {
      if (name == candidate) break;
      ++i;
    }
    if (i == names.size()) machine.fail("{}() got an unexpected argument '{}'", function, name);
    if (present_[i]) machine.fail("{}() got two values for argument '{}'", function, name);
    values_[i] = value;
    present_[i] = true;
  }
  for (std::size_t i = 0; i < required; ++i) {
    if (!present_[i]) machine.fail("{}() misses argument '{}'", function, names.begin()[i]);
  }
}

std::int64_t Bound::integer(std::size_t i, std::int64_t otherwise) const {
  if (!present_[i]) return otherwise;
  if (!values_[i].is_int()) {
    machine_.fail("{}(): expected an integer, found '{}'", function_, type_name(values_[i]));
  }
  return values_[i].as_int();
}

const Text& Bound::text(std::size_t i) const {
  if (!present_[i] || !values_[i].is(Kind::string)) {
    machine_.fail("{}(): expected a string, found '{}'", function_, type_name(values_[i]));
  }
  return values_[i].text();
}

}  // namespace nautile::jinja
