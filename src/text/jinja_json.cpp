// jinja_json.cpp — JSON in and out of the template machine.
#include "text/jinja_json.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "text/jinja_chars.h"

namespace nautile::jinja {
namespace {

using Json = nlohmann::ordered_json;

Value string_from(Machine& machine, const std::string& text, std::string_view key,
                  const OriginRule& origin) {
  const std::size_t bad = find_invalid_utf8(text);
  if (bad != std::string::npos) machine.fail("'{}' is not UTF-8 at byte {}", key, bad);
  return machine.string(text, origin(key, text));
}

Value convert(Machine& machine, const Json& json, std::string_view key, const OriginRule& origin,
              int depth) {
  if (depth > kMaxValueDepth) machine.fail("nesting budget exhausted ({} levels)", kMaxValueDepth);
  switch (json.type()) {
    case Json::value_t::boolean:
      return Value::of(json.get<bool>());
    case Json::value_t::number_integer:
      return Value::of(json.get<std::int64_t>());
    case Json::value_t::number_unsigned: {
      const auto number = json.get<std::uint64_t>();
      if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
        machine.fail("'{}': integer {} does not fit in 64 bits", key, number);
      }
      return Value::of(static_cast<std::int64_t>(number));
    }
    case Json::value_t::number_float:
      return Value::of(json.get<double>());
    case Json::value_t::string:
      return string_from(machine, json.get_ref<const std::string&>(), key, origin);
    case Json::value_t::array: {
      std::vector<Value> items;
      machine.charge(json.size() * sizeof(Value));
      items.reserve(json.size());
      for (const Json& item : json) items.push_back(convert(machine, item, key, origin, depth + 1));
      return machine.list(std::move(items));
    }
    case Json::value_t::object: {
      DictObject* dict = machine.new_dict();
      for (const auto& [name, item] : json.items()) {
        // Property names of a tool's schema come from outside as its values do.
        const Value name_value = string_from(machine, name, "", origin);
        machine.put(*dict, name_value, convert(machine, item, name, origin, depth + 1));
      }
      return Value::of(Kind::dict, dict);
    }
    default:
      return Value::none();
  }
}

class Writer {
 public:
  Writer(Machine& machine, const JsonStyle& style) : machine_(machine), style_(style) {}

  Text run(const Value& value) {
    write(value, 0);
    settle();
    return Text(std::move(out_), user_ ? Origin::user : Origin::format);
  }

 private:
  // Charges for what was written since the last time.
  void settle() {
    machine_.charge(out_.size() - settled_);
    settled_ = out_.size();
  }

  void write(const Value& value, int depth) {
    machine_.step();
    settle();
    if (depth > kMaxValueDepth)
      machine_.fail("nesting budget exhausted ({} levels)", kMaxValueDepth);
    switch (value.kind) {
      case Kind::none:
        out_ += "null";
        break;
      case Kind::boolean:
        out_ += value.boolean ? "true" : "false";
        break;
      case Kind::integer:
        out_ += fmt::format("{}", value.integer);
        break;
      case Kind::real:
        out_ += real(value.real);
        break;
      case Kind::string:
        string(value.text());
        break;
      case Kind::list:
      case Kind::tuple:
        list(value.sequence().items, depth);
        break;
      case Kind::dict:
        dict(value.dict(), depth);
        break;
      default:
        machine_.fail("object of type {} is not JSON serializable", type_name(value));
    }
  }

  static std::string real(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
    return real_repr(value);
  }

  void escape(std::uint32_t code) { out_ += fmt::format("\\u{:04x}", code); }

  void string(const Text& text) {
    user_ = user_ || text.has_user();
    machine_.charge(text.size());
    machine_.scan(text.size() * 2);
    out_ += '"';
    const std::string& bytes = text.bytes();
    for (std::size_t at = 0; at < bytes.size();) {
      const CodePoint c = code_point(bytes, at);
      switch (c.code) {
        case '"':
          out_ += "\\\"";
          break;
        case '\\':
          out_ += "\\\\";
          break;
        case '\n':
          out_ += "\\n";
          break;
        case '\r':
          out_ += "\\r";
          break;
        case '\t':
          out_ += "\\t";
          break;
        case '\b':
          out_ += "\\b";
          break;
        case '\f':
          out_ += "\\f";
          break;
        default:
          if (c.code < 0x20 || (style_.ascii && c.code >= 0x7F && c.code < 0x10000)) {
            escape(c.code);
          } else if (style_.ascii && c.code >= 0x10000) {
            escape(0xD800 + ((c.code - 0x10000) >> 10));
            escape(0xDC00 + ((c.code - 0x10000) & 0x3FF));
          } else {
            out_.append(bytes, at, c.bytes);
          }
      }
      at += c.bytes;
    }
    out_ += '"';
  }

  void line(int depth) {
    if (!style_.pretty) return;
    machine_.charge(style_.indent.size() * static_cast<std::size_t>(depth));
    out_ += '\n';
    for (int i = 0; i < depth; ++i) out_ += style_.indent;
  }

  void list(const std::vector<Value>& items, int depth) {
    if (items.empty()) {
      out_ += "[]";
      return;
    }
    out_ += '[';
    bool first = true;
    for (const Value& item : items) {
      if (!first) out_ += style_.item_separator;
      first = false;
      line(depth + 1);
      write(item, depth + 1);
    }
    line(depth);
    out_ += ']';
  }

  // Keys may be anything JSON can turn into a string.
  void key(const Value& value) {
    switch (value.kind) {
      case Kind::string:
        return string(value.text());
      case Kind::none:
        out_ += "\"null\"";
        return;
      case Kind::boolean:
        out_ += value.boolean ? "\"true\"" : "\"false\"";
        return;
      case Kind::integer:
        out_ += fmt::format("\"{}\"", value.integer);
        return;
      case Kind::real:
        out_ += '"' + real(value.real) + '"';
        return;
      default:
        machine_.fail("JSON keys must be strings or numbers, found {}", type_name(value));
    }
  }

  void dict(const DictObject& dict, int depth) {
    if (dict.entries.empty()) {
      out_ += "{}";
      return;
    }
    auto entries = dict.entries;
    machine_.charge(entries.size() * sizeof(entries[0]));
    if (style_.sort_keys) {
      std::stable_sort(entries.begin(), entries.end(), [&](const auto& a, const auto& b) {
        return less(machine_, a.first, b.first);
      });
    }
    out_ += '{';
    bool first = true;
    for (const auto& [name, value] : entries) {
      if (!first) out_ += style_.item_separator;
      first = false;
      line(depth + 1);
      key(name);
      out_ += style_.key_separator;
      write(value, depth + 1);
    }
    line(depth);
    out_ += '}';
  }

  Machine& machine_;
  const JsonStyle& style_;
  std::string out_;
  std::size_t settled_ = 0;
  bool user_ = false;
};

}  // namespace

Value from_json(Machine& machine, const Json& json, const OriginRule& origin) {
  return convert(machine, json, "", origin, 0);
}

Text to_json(Machine& machine, const Value& value, const JsonStyle& style) {
  return Writer(machine, style).run(value);
}

}  // namespace nautile::jinja
