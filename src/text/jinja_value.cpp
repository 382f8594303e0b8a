// jinja_value.cpp — truth, equality, order, printing and iteration of template values.
#include "text/jinja_value.h"

#include <charconv>
#include <cmath>
#include <cstring>

#include "text/jinja_chars.h"
#include "text/jinja_machine.h"

namespace nautile::jinja {

StringObject& Value::string() const {
  return *static_cast<StringObject*>(object);
}
SequenceObject& Value::sequence() const {
  return *static_cast<SequenceObject*>(object);
}
DictObject& Value::dict() const {
  return *static_cast<DictObject*>(object);
}
const Text& Value::text() const {
  return string().text;
}

std::size_t StringObject::count(const Text& text) {
  return count_chars(text.view());
}

void DictObject::set(std::string key, Value name, Value value) {
  auto [it, inserted] =
      index.try_emplace(std::move(key), static_cast<std::uint32_t>(entries.size()));
  if (inserted) {
    entries.emplace_back(name, value);
  } else {
    entries[it->second].second = value;
  }
}

std::string type_name(const Value& value) {
  switch (value.kind) {
    case Kind::undefined:
      return "Undefined";
    case Kind::none:
      return "NoneType";
    case Kind::boolean:
      return "bool";
    case Kind::integer:
      return "int";
    case Kind::real:
      return "float";
    case Kind::string:
      return value.string().markup ? "Markup" : "str";
    case Kind::list:
      return "list";
    case Kind::tuple:
      return "tuple";
    case Kind::range:
      return "range";
    case Kind::keys:
      return "dict_keys";
    case Kind::values:
      return "dict_values";
    case Kind::items:
      return "dict_items";
    case Kind::dict:
      return "dict";
    case Kind::names:
      return "Namespace";
    case Kind::generator:
      return "generator";
    case Kind::function:
      return "function";
    case Kind::loop:
      return "LoopContext";
  }
  return "?";
}

bool truthy(const Value& value) {
  switch (value.kind) {
    case Kind::undefined:
    case Kind::none:
      return false;
    case Kind::boolean:
      return value.boolean;
    case Kind::integer:
      return value.integer != 0;
    case Kind::real:
      return value.real != 0;
    case Kind::string:
      return !value.text().empty();
    case Kind::list:
    case Kind::tuple:
    case Kind::range:
    case Kind::keys:
    case Kind::values:
    case Kind::items:
      return !value.sequence().items.empty();
    case Kind::dict:
      return !value.dict().entries.empty();
    case Kind::names:
    case Kind::generator:
    case Kind::function:
    case Kind::loop:
      return true;
  }
  return true;
}

namespace {

void check_depth(Machine& machine, int depth) {
  machine.step();
  if (depth > kMaxValueDepth) machine.fail("nesting budget exhausted ({} levels)", kMaxValueDepth);
}

bool same_sequence_kind(Kind a, Kind b) {
  return a == b;
}

bool equal_items(Machine& machine, const std::vector<Value>& a, const std::vector<Value>& b,
                 int depth) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!equal(machine, a[i], b[i], depth + 1)) return false;
  }
  return true;
}

bool equal_dicts(Machine& machine, const DictObject& a, const DictObject& b, int depth) {
  if (a.entries.size() != b.entries.size()) return false;
  for (const auto& [key, at] : a.index) {
    const auto other = b.find(key);
    if (other < 0 || !equal(machine, a.entries[at].second,
                            b.entries[static_cast<std::size_t>(other)].second, depth + 1)) {
      return false;
    }
  }
  return true;
}

}  // namespace

bool hash_key(Machine& machine, const Value& value, std::string& key, int depth) {
  check_depth(machine, depth);
  switch (value.kind) {
    case Kind::undefined:
      key += "u";
      return true;
    case Kind::none:
      key += "n";
      return true;
    case Kind::boolean:
    case Kind::integer:
      key += fmt::format("i{}", value.as_int());
      return true;
    case Kind::real:
      // 1.0 and 1 are the same key.
      if (value.real == std::floor(value.real) && std::abs(value.real) < 9e18) {
        key += fmt::format("i{}", static_cast<std::int64_t>(value.real));
      } else {
        key += fmt::format("f{}", real_repr(value.real));
      }
      return true;
    case Kind::string:
      machine.scan(value.text().size());
      key += "s" + value.text().bytes();
      return true;
    case Kind::tuple:
      key += fmt::format("t{}(", value.sequence().items.size());
      for (const Value& item : value.sequence().items) {
        std::string part;
        if (!hash_key(machine, item, part, depth + 1)) return false;
        machine.charge(part.size());
        key += fmt::format("{}:", part.size()) + part;
      }
      return true;
    case Kind::list:
    case Kind::dict:
    case Kind::keys:
    case Kind::items:
      return false;
    default:
      key += fmt::format("o{}", static_cast<const void*>(value.object));
      return true;
  }
}

bool equal(Machine& machine, const Value& a, const Value& b, int depth) {
  check_depth(machine, depth);
  if (a.is_number() && b.is_number()) {
    if (a.is_int() && b.is_int()) return a.as_int() == b.as_int();
    return a.as_real() == b.as_real();
  }
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case Kind::undefined:
    case Kind::none:
      return true;
    case Kind::string:
      if (a.text().size() != b.text().size()) return false;
      machine.scan(a.text().size());
      return a.text().bytes() == b.text().bytes();
    case Kind::list:
    case Kind::tuple:
    case Kind::range:
      return equal_items(machine, a.sequence().items, b.sequence().items, depth);
    case Kind::keys:
    case Kind::items: {
      // Set-like: equal when each is in the other.
      const auto& x = a.sequence().items;
      const auto& y = b.sequence().items;
      if (x.size() != y.size()) return false;
      for (const Value& item : x) {
        bool found = false;
        for (std::size_t i = 0; i < y.size() && !found; ++i) {
          found = equal(machine, item, y[i], depth + 1);
        }
        if (!found) return false;
      }
      return true;
    }
    case Kind::dict:
      return equal_dicts(machine, a.dict(), b.dict(), depth);
    default:
      return a.object == b.object;
  }
}

bool less(Machine& machine, const Value& a, const Value& b, int depth) {
  check_depth(machine, depth);
  if (a.is_number() && b.is_number()) {
    if (a.is_int() && b.is_int()) return a.as_int() < b.as_int();
    return a.as_real() < b.as_real();
  }
  if (a.is(Kind::undefined) || b.is(Kind::undefined)) {
    const Value& culprit = a.is(Kind::undefined) ? a : b;
    machine.fail("{}", static_cast<UndefinedObject*>(culprit.object)->message);
  }
  if (a.is(Kind::string) && b.is(Kind::string)) {
    machine.scan(std::min(a.text().size(), b.text().size()));
    return a.text().bytes() < b.text().bytes();  // UTF-8 sorts as code points do
  }
  if ((a.is(Kind::list) || a.is(Kind::tuple)) && same_sequence_kind(a.kind, b.kind)) {
    const auto& x = a.sequence().items;
    const auto& y = b.sequence().items;
    for (std::size_t i = 0; i < x.size() && i < y.size(); ++i) {
      if (!equal(machine, x[i], y[i], depth + 1)) return less(machine, x[i], y[i], depth + 1);
    }
    return x.size() < y.size();
  }
  machine.fail("'<' is not supported between '{}' and '{}'", type_name(a), type_name(b));
}

std::string real_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[40];
  auto [end, ec] =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  std::string scientific(buffer, end);
  const std::size_t e = scientific.find('e');
  const int exponent = std::atoi(scientific.c_str() + e + 1);
  if (exponent < -4 || exponent >= 16) {
    const int magnitude = std::abs(exponent);
    return fmt::format("{}e{}{:02}", scientific.substr(0, e), exponent < 0 ? '-' : '+', magnitude);
  }
  auto [fixed_end, fixed_ec] =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::fixed);
  std::string fixed(buffer, fixed_end);
  if (fixed.find('.') == std::string::npos) fixed += ".0";
  return fixed;
}

namespace {

void append_string_repr(Machine& machine, std::string& out, const Text& text) {
  machine.charge(text.size());
  machine.scan(text.size() * 8);
  const std::string& bytes = text.bytes();
  const bool double_quotes =
      bytes.find('\'') != std::string::npos && bytes.find('"') == std::string::npos;
  const char quote = double_quotes ? '"' : '\'';
  out += quote;
  for (std::size_t at = 0; at < bytes.size();) {
    const CodePoint c = code_point(bytes, at);
    if (c.code == static_cast<unsigned char>(quote) || c.code == '\\') {
      out += '\\';
      out += static_cast<char>(c.code);
    } else if (c.code == '\n') {
      out += "\\n";
    } else if (c.code == '\r') {
      out += "\\r";
    } else if (c.code == '\t') {
      out += "\\t";
    } else if (c.code < 0x20 || c.code == 0x7F) {
      out += fmt::format("\\x{:02x}", c.code);
    } else if (c.code < 0x7F || is_printable(c.code)) {
      out.append(bytes, at, c.bytes);
    } else if (c.code < 0x100) {
      out += fmt::format("\\x{:02x}", c.code);
    } else if (c.code < 0x10000) {
      out += fmt::format("\\u{:04x}", c.code);
    } else {
      out += fmt::format("\\U{:08x}", c.code);
    }
    at += c.bytes;
  }
  out += quote;
}

void append_items_repr(Machine& machine, std::string& out, bool& user,
                       const std::vector<Value>& items, int depth) {
  bool first = true;
  for (const Value& item : items) {
    if (!first) out += ", ";
    first = false;
    append_repr(machine, out, user, item, depth + 1);
  }
}

void append_dict_repr(Machine& machine, std::string& out, bool& user, const DictObject& dict,
                      int depth) {
  out += '{';
  bool first = true;
  for (const auto& [key, value] : dict.entries) {
    if (!first) out += ", ";
    first = false;
    append_repr(machine, out, user, key, depth + 1);
    out += ": ";
    append_repr(machine, out, user, value, depth + 1);
  }
  out += '}';
}

void append_range_repr(std::string& out, const SequenceObject& range) {
  out += fmt::format("range({}, {}", range.start, range.stop);
  out += range.stride == 1 ? ")" : fmt::format(", {})", range.stride);
}

}  // namespace

void append_repr(Machine& machine, std::string& out, bool& user, const Value& value, int depth) {
  check_depth(machine, depth);
  const std::size_t before = out.size();
  switch (value.kind) {
    case Kind::undefined:
      out += "Undefined";
      break;
    case Kind::none:
      out += "None";
      break;
    case Kind::boolean:
      out += value.boolean ? "True" : "False";
      break;
    case Kind::integer:
      out += fmt::format("{}", value.integer);
      break;
    case Kind::real:
      out += real_repr(value.real);
      break;
    case Kind::string:
      user = user || value.text().has_user();
      if (value.string().markup) out += "Markup(";
      append_string_repr(machine, out, value.text());
      if (value.string().markup) out += ")";
      break;
    case Kind::list:
      out += '[';
      append_items_repr(machine, out, user, value.sequence().items, depth);
      out += ']';
      break;
    case Kind::tuple:
      out += '(';
      append_items_repr(machine, out, user, value.sequence().items, depth);
      out += value.sequence().items.size() == 1 ? ",)" : ")";
      break;
    case Kind::range:
      append_range_repr(out, value.sequence());
      break;
    case Kind::keys:
    case Kind::values:
    case Kind::items:
      out += type_name(value) + "([";
      append_items_repr(machine, out, user, value.sequence().items, depth);
      out += "])";
      break;
    case Kind::dict:
      append_dict_repr(machine, out, user, value.dict(), depth);
      break;
    case Kind::names:
      out += "<Namespace ";
      append_dict_repr(machine, out, user, value.dict(), depth);
      out += '>';
      break;
    case Kind::generator:
      out += "<generator>";
      break;
    case Kind::function:
      out += fmt::format("<function {}>", static_cast<FunctionObject*>(value.object)->name);
      break;
    case Kind::loop:
      out += "<LoopContext>";
      break;
  }
  if (depth == 0) machine.charge(out.size() - before);
}

Text to_text(Machine& machine, const Value& value) {
  if (value.is(Kind::string)) return value.text();
  if (value.is(Kind::undefined)) return Text();
  std::string out;
  bool user = false;
  append_repr(machine, out, user, value);
  return Text(std::move(out), user ? Origin::user : Origin::format);
}

bool contains_user(Machine& machine, const Value& value, int depth) {
  check_depth(machine, depth);
  if (value.is(Kind::string)) return value.text().has_user();
  if (value.is_sequence()) {
    for (const Value& item : value.sequence().items) {
      if (contains_user(machine, item, depth + 1)) return true;
    }
  }
  if (value.is(Kind::dict) || value.is(Kind::names)) {
    for (const auto& [key, item] : value.dict().entries) {
      if (contains_user(machine, key, depth + 1) || contains_user(machine, item, depth + 1)) {
        return true;
      }
    }
  }
  return false;
}

bool Iterator::iterable(const Value& value) {
  return value.is(Kind::undefined) || value.is(Kind::string) || value.is_sequence() ||
         value.is(Kind::dict) || value.is(Kind::generator);
}

Iterator::Iterator(Machine& machine, Value source) : machine_(machine), source_(source) {
  if (!iterable(source)) machine.fail("'{}' object is not iterable", type_name(source));
}

bool Iterator::next(Value& out) {
  machine_.step();
  if (source_.is_sequence()) {
    const auto& items = source_.sequence().items;
    if (at_ >= items.size()) return false;
    out = items[at_++];
    return true;
  }
  if (source_.is(Kind::dict)) {
    const auto& entries = source_.dict().entries;
    if (at_ >= entries.size()) return false;
    out = entries[at_++].first;
    return true;
  }
  if (source_.is(Kind::string)) {
    const Text& text = source_.text();
    if (at_ >= text.size()) return false;
    const std::size_t bytes = char_bytes(text.bytes()[at_]);
    out = machine_.string(text.slice(at_, at_ + bytes));
    at_ += bytes;
    return true;
  }
  if (source_.is(Kind::generator)) return static_cast<GeneratorObject*>(source_.object)->next(out);
  return false;
}

std::vector<Value> to_items(Machine& machine, const Value& source) {
  if (source.is_sequence()) {
    machine.step(source.sequence().items.size() / 8);
    machine.charge(source.sequence().items.size() * sizeof(Value));
    return source.sequence().items;
  }
  std::vector<Value> items;
  Value item;
  for (Iterator walk(machine, source); walk.next(item);) {
    machine.charge(sizeof(Value));
    items.push_back(item);
  }
  return items;
}

}  // namespace nautile::jinja
