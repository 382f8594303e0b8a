// jinja_ops.cpp — operators with Python's typing rules and 64-bit integers.
#include "text/jinja_ops.h"

#include <algorithm>
#include <cmath>

#include "text/jinja_chars.h"
#include "text/jinja_format.h"
#include "text/jinja_loop.h"
#include "text/jinja_methods.h"
#include "text/jinja_text_tools.h"

namespace nautile::jinja {
namespace {

const char* symbol(Op op) {
  switch (op) {
    case Op::add:
      return "+";
    case Op::sub:
      return "-";
    case Op::mul:
      return "*";
    case Op::div:
      return "/";
    case Op::floordiv:
      return "//";
    case Op::mod:
      return "%";
    case Op::pow:
      return "**";
    case Op::eq:
      return "==";
    case Op::ne:
      return "!=";
    case Op::lt:
      return "<";
    case Op::le:
      return "<=";
    case Op::gt:
      return ">";
    case Op::ge:
      return ">=";
    case Op::in:
      return "in";
    case Op::not_in:
      return "not in";
  }
  return "?";
}

[[noreturn]] void overflow(Machine& machine, Op op) {
  machine.unsupported("result of integer {} does not fit in 64 bits", symbol(op));
}

std::int64_t floor_div(std::int64_t a, std::int64_t b) {
  const std::int64_t quotient = a / b;
  return a % b != 0 && ((a < 0) != (b < 0)) ? quotient - 1 : quotient;
}

Value integer_power(Machine& machine, std::int64_t base, std::int64_t exponent) {
  if (exponent < 0) {
    if (base == 0) machine.fail("0.0 cannot be raised to a negative power");
    return Value::of(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  std::int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) {
      overflow(machine, Op::pow);
    }
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) overflow(machine, Op::pow);
  }
  return Value::of(result);
}

Value integer_arithmetic(Machine& machine, Op op, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  switch (op) {
    case Op::add:
      if (__builtin_add_overflow(a, b, &result)) overflow(machine, op);
      return Value::of(result);
    case Op::sub:
      if (__builtin_sub_overflow(a, b, &result)) overflow(machine, op);
      return Value::of(result);
    case Op::mul:
      if (__builtin_mul_overflow(a, b, &result)) overflow(machine, op);
      return Value::of(result);
    case Op::pow:
      return integer_power(machine, a, b);
    default:
      break;
  }
  if (b == 0) machine.fail("division by zero");
  if (op == Op::div) return Value::of(static_cast<double>(a) / static_cast<double>(b));
  if (b == -1) {  // the one divisor that overflows
    if (op == Op::mod) return Value::of(std::int64_t{0});
    if (__builtin_sub_overflow(std::int64_t{0}, a, &result)) overflow(machine, op);
    return Value::of(result);
  }
  const std::int64_t quotient = floor_div(a, b);
  return Value::of(op == Op::floordiv ? quotient : a - quotient * b);
}

Value real_arithmetic(Machine& machine, Op op, double a, double b) {
  switch (op) {
    case Op::add:
      return Value::of(a + b);
    case Op::sub:
      return Value::of(a - b);
    case Op::mul:
      return Value::of(a * b);
    case Op::pow:
      if (a == 0 && b < 0) machine.fail("0.0 cannot be raised to a negative power");
      if (a < 0 && b != std::floor(b)) machine.unsupported("complex numbers");
      return Value::of(std::pow(a, b));
    default:
      break;
  }
  if (b == 0) machine.fail("float division by zero");
  if (op == Op::div) return Value::of(a / b);
  double remainder = std::fmod(a, b);
  if (remainder != 0 && (b < 0) != (remainder < 0)) remainder += b;
  if (op == Op::mod) return Value::of(remainder == 0 ? std::copysign(0.0, b) : remainder);
  const double quotient = (a - remainder) / b;
  return Value::of(quotient == 0 ? std::copysign(0.0, a / b) : std::round(quotient));
}

Value add_strings(Machine& machine, const Value& a, const Value& b) {
  const bool markup = a.string().markup || b.string().markup;
  machine.charge(a.text().size() + b.text().size());
  Text text = markup && !a.string().markup ? escape_html(machine, a) : a.text();
  text.append(markup && !b.string().markup ? escape_html(machine, b) : b.text());
  return machine.string(std::move(text), markup);
}

// How many times, with the size of the result within reach of the budget.
std::size_t repetitions(Machine& machine, std::size_t size, std::int64_t count) {
  if (count <= 0 || size == 0) return 0;
  const auto times = static_cast<std::size_t>(count);
  if (times > machine.budgets().heap_bytes / size) machine.charge(machine.budgets().heap_bytes + 1);
  machine.charge(times * size);
  return times;
}

Value repeat(Machine& machine, const Value& what, std::int64_t count) {
  if (what.is(Kind::string)) {
    const std::size_t times = repetitions(machine, what.text().size() + 1, count);
    machine.step(times);
    Text text;
    for (std::size_t i = 0; i < times; ++i) text.append(what.text());
    return machine.string(std::move(text), what.string().markup);
  }
  const auto& items = what.sequence().items;
  const std::size_t times = repetitions(machine, items.size() * sizeof(Value), count);
  std::vector<Value> result;
  for (std::size_t i = 0; i < times; ++i) result.insert(result.end(), items.begin(), items.end());
  return machine.sequence(what.kind, std::move(result));
}

bool repeatable(const Value& value) {
  return value.is(Kind::string) || value.is(Kind::list) || value.is(Kind::tuple);
}

}  // namespace

void require_defined(Machine& machine, const Value& value) {
  if (!value.is(Kind::undefined)) return;
  const auto* object = static_cast<UndefinedObject*>(value.object);
  machine.fail("{}", object != nullptr ? object->message : "value is undefined");
}

Value arithmetic(Machine& machine, Op op, const Value& a, const Value& b) {
  if (op == Op::mod && a.is(Kind::string)) return percent_format(machine, a, b);
  require_defined(machine, a);
  require_defined(machine, b);
  if (a.is_number() && b.is_number()) {
    if (a.is_int() && b.is_int()) return integer_arithmetic(machine, op, a.as_int(), b.as_int());
    return real_arithmetic(machine, op, a.as_real(), b.as_real());
  }
  if (op == Op::add && a.is(Kind::string) && b.is(Kind::string)) return add_strings(machine, a, b);
  if (op == Op::add && a.kind == b.kind && (a.is(Kind::list) || a.is(Kind::tuple))) {
    const auto& left = a.sequence().items;
    const auto& right = b.sequence().items;
    machine.charge((left.size() + right.size()) * sizeof(Value));
    std::vector<Value> items = left;
    items.insert(items.end(), right.begin(), right.end());
    return machine.sequence(a.kind, std::move(items));
  }
  if (op == Op::mul && repeatable(a) && b.is_int()) return repeat(machine, a, b.as_int());
  if (op == Op::mul && repeatable(b) && a.is_int()) return repeat(machine, b, a.as_int());
  machine.fail("unsupported operand types for {}: '{}' and '{}'", symbol(op), type_name(a),
               type_name(b));
}

Value negate(Machine& machine, const Value& value) {
  require_defined(machine, value);
  if (value.is(Kind::real)) return Value::of(-value.real);
  if (value.is_int()) return integer_arithmetic(machine, Op::sub, 0, value.as_int());
  machine.fail("bad operand type for unary -: '{}'", type_name(value));
}

Value plus(Machine& machine, const Value& value) {
  require_defined(machine, value);
  if (value.is(Kind::real)) return value;
  if (value.is_int()) return Value::of(value.as_int());
  machine.fail("bad operand type for unary +: '{}'", type_name(value));
}

bool contains(Machine& machine, const Value& container, const Value& item) {
  if (container.is(Kind::string)) {
    if (!item.is(Kind::string)) {
      machine.fail("'in <string>' requires a string on its left, found '{}'", type_name(item));
    }
    machine.scan(container.text().size());
    return find_bytes(container.text().view(), item.text().view(), 0) != std::string::npos;
  }
  if (container.is(Kind::dict)) return machine.get(container.dict(), item) != nullptr;
  if (!Iterator::iterable(container)) {
    machine.fail("argument of type '{}' is not iterable", type_name(container));
  }
  Value candidate;
  for (Iterator walk(machine, container); walk.next(candidate);) {
    if (equal(machine, candidate, item)) return true;
  }
  return false;
}

bool compare(Machine& machine, Op op, const Value& a, const Value& b) {
  switch (op) {
    case Op::eq:
      return equal(machine, a, b);
    case Op::ne:
      return !equal(machine, a, b);
    case Op::lt:
      return less(machine, a, b);
    case Op::gt:
      return less(machine, b, a);
    // Not the negation of the other: NaN is in no order at all.
    case Op::le:
      return less(machine, a, b) || equal(machine, a, b);
    case Op::ge:
      return less(machine, b, a) || equal(machine, a, b);
    case Op::in:
      return contains(machine, b, a);
    case Op::not_in:
      return !contains(machine, b, a);
    default:
      return false;
  }
}

Text escape_html(Machine& machine, const Value& value) {
  const Text source = to_text(machine, value);
  if (value.is(Kind::string) && value.string().markup) return source;
  machine.charge(source.size() * 5);
  Text out;
  std::size_t plain = 0;
  for (std::size_t i = 0; i < source.size(); ++i) {
    const char* entity = nullptr;
    switch (source.bytes()[i]) {
      case '&':
        entity = "&amp;";
        break;
      case '<':
        entity = "&lt;";
        break;
      case '>':
        entity = "&gt;";
        break;
      case '\'':
        entity = "&#39;";
        break;
      case '"':
        entity = "&#34;";
        break;
      default:
        continue;
    }
    out.append(source, plain, i);
    out.append(entity, source.origin_at(i));
    plain = i + 1;
  }
  out.append(source, plain, source.size());
  return out;
}

Value concat(Machine& machine, const std::vector<Value>& parts) {
  // Without autoescaping jinja2 joins plain strings here, even where Markup is among them.
  Text text;
  for (const Value& part : parts) {
    if (part.is(Kind::string)) {
      machine.charge(part.text().size());
      text.append(part.text());
    } else {
      text.append(to_text(machine, part));
    }
  }
  return machine.string(std::move(text));
}

std::size_t length(Machine& machine, const Value& value) {
  if (value.is(Kind::undefined)) return 0;
  if (value.is(Kind::string)) return value.string().chars;
  if (value.is_sequence()) return value.sequence().items.size();
  if (value.is(Kind::dict)) return value.dict().entries.size();
  if (value.is(Kind::loop)) return static_cast<LoopObject*>(value.object)->items.size();
  machine.fail("object of type '{}' has no length", type_name(value));
}

Value substring(Machine& machine, const StringObject& string, std::size_t from, std::size_t to) {
  if (from >= to) return machine.string(Text(), string.markup);
  std::size_t begin = from;
  std::size_t end = to;
  if (!string.ascii()) {
    machine.scan(string.text.size());
    begin = byte_of_char(string.text.view(), from);
    end = begin + byte_of_char(string.text.view().substr(begin), to - from);
  }
  machine.charge(end - begin);
  return machine.string(string.text.slice(begin, end), string.markup);
}

Value get_attribute(Machine& machine, const Value& object, const std::string& name) {
  require_defined(machine, object);
  if (object.is(Kind::loop))
    return static_cast<LoopObject*>(object.object)->attribute(machine, name);
  if (object.is(Kind::names)) {
    const Value* found = machine.get(object.dict(), name);
    if (found != nullptr) return *found;
  } else if (!name.starts_with("__")) {
    bool found = false;
    const Value method = find_method(machine, object, name, found);
    if (found) return method;
    if (object.is(Kind::dict)) {
      const Value* item = machine.get(object.dict(), name);
      if (item != nullptr) return *item;
    }
  }
  return machine.undefined(
      fmt::format("'{}' object has no attribute '{}'", type_name(object), name));
}

Value get_item(Machine& machine, const Value& object, const Value& key) {
  require_defined(machine, object);
  if (object.is(Kind::dict)) {
    std::string hash;
    if (hash_key(machine, key, hash)) {
      const auto at = object.dict().find(hash);
      if (at >= 0) return object.dict().entries[static_cast<std::size_t>(at)].second;
    }
  }
  const bool indexable = object.is(Kind::string) || object.is(Kind::list) ||
                         object.is(Kind::tuple) || object.is(Kind::range);
  if (indexable && key.is_int()) {
    const auto size = static_cast<std::int64_t>(length(machine, object));
    const std::int64_t index = key.as_int() < 0 ? key.as_int() + size : key.as_int();
    if (index >= 0 && index < size) {
      const auto at = static_cast<std::size_t>(index);
      if (!object.is(Kind::string)) return object.sequence().items[at];
      return substring(machine, object.string(), at, at + 1);
    }
  }
  if (key.is(Kind::string)) {
    const std::string& name = key.text().bytes();
    if (object.is(Kind::loop)) {
      return static_cast<LoopObject*>(object.object)->attribute(machine, name);
    }
    if (object.is(Kind::names)) {
      const Value* found = machine.get(object.dict(), name);
      if (found != nullptr) return *found;
    } else {
      bool found = false;
      const Value method = find_method(machine, object, name, found);
      if (found) return method;
    }
  }
  std::string shown;
  bool user = false;
  append_repr(machine, shown, user, key);
  return machine.undefined(
      fmt::format("'{}' object has no element {}", type_name(object), shown.substr(0, 100)));
}

namespace {

// Python's slice bounds for a sequence of `size`; the fallbacks depend on the direction.
std::int64_t slice_bound(Machine& machine, const Value& bound, std::int64_t size,
                         std::int64_t absent, std::int64_t lowest, std::int64_t highest) {
  if (bound.is(Kind::none)) return absent;
  if (!bound.is_int()) {
    machine.fail("slice indices must be integers or none, found '{}'", type_name(bound));
  }
  std::int64_t index = bound.as_int();
  if (index < 0) index = index < -size ? -1 - size : index + size;
  return std::clamp(index, lowest, highest);
}

}  // namespace

Value get_slice(Machine& machine, const Value& object, const Value& start, const Value& stop,
                const Value& step) {
  require_defined(machine, object);
  const bool sliceable = object.is(Kind::string) || object.is(Kind::list) ||
                         object.is(Kind::tuple) || object.is(Kind::range);
  if (!sliceable) machine.fail("'{}' object cannot be sliced", type_name(object));
  if (!step.is(Kind::none) && !step.is_int()) machine.fail("slice step must be an integer");
  const std::int64_t stride = step.is(Kind::none) ? 1 : step.as_int();
  if (stride == 0) machine.fail("slice step cannot be zero");
  const auto size = static_cast<std::int64_t>(length(machine, object));
  const bool forward = stride > 0;
  const std::int64_t lowest = forward ? 0 : -1;
  const std::int64_t highest = forward ? size : size - 1;
  const std::int64_t from =
      slice_bound(machine, start, size, forward ? 0 : size - 1, lowest, highest);
  const std::int64_t to = slice_bound(machine, stop, size, forward ? size : -1, lowest, highest);
  if (object.is(Kind::string) && stride == 1) {
    return substring(machine, object.string(), static_cast<std::size_t>(from),
                     static_cast<std::size_t>(std::max(from, to)));
  }
  std::vector<std::size_t> picked;
  // The distance is at most the size, so one step past the end cannot overflow the test.
  for (std::int64_t i = from; forward ? i < to : i > to;) {
    machine.charge(sizeof(std::size_t));
    picked.push_back(static_cast<std::size_t>(i));
    if (__builtin_add_overflow(i, stride, &i)) break;
  }
  machine.step(picked.size() / 8);
  if (object.is(Kind::string)) {
    const Text& text = object.text();
    std::vector<std::size_t> starts;  // byte of each character
    machine.charge(text.size() * sizeof(std::size_t));
    for (std::size_t at = 0; at < text.size(); at += char_bytes(text.bytes()[at]))
      starts.push_back(at);
    starts.push_back(text.size());
    Text result;
    for (const std::size_t i : picked) result.append(text, starts[i], starts[i + 1]);
    return machine.string(std::move(result), object.string().markup);
  }
  std::vector<Value> items;
  items.reserve(picked.size());
  for (const std::size_t i : picked) items.push_back(object.sequence().items[i]);
  const Value result = machine.sequence(object.kind, std::move(items));
  if (object.is(Kind::range)) {
    const SequenceObject& whole = object.sequence();
    result.sequence().start = whole.start + from * whole.stride;
    result.sequence().stop = whole.start + to * whole.stride;
    if (__builtin_mul_overflow(whole.stride, stride, &result.sequence().stride)) {
      machine.unsupported("slice step of a range that does not fit in 64 bits");
    }
  }
  return result;
}

}  // namespace nautile::jinja
