// jinja_format.cpp — "{}".format(x): brace-style formatting of template values.
#include "text/jinja_format.h"

#include <algorithm>
#include <cmath>

#include "text/jinja_chars.h"
#include "text/jinja_format_spec.h"
#include "text/jinja_ops.h"

namespace nautile::jinja {
namespace {

std::string group_digits(const std::string& digits, char separator, std::size_t run) {
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % run == 0) out += separator;
    out += digits[i];
  }
  return out;
}

FormatSpec parse_spec(Machine& machine, std::string_view text) {
  FormatSpec spec;
  std::size_t at = 0;
  const auto peek = [&](std::size_t ahead = 0) {
    return at + ahead < text.size() ? text[at + ahead] : '\0';
  };
  const auto is_align = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
  const auto number = [&](std::int64_t absent) {
    std::int64_t value = absent;
    while (peek() >= '0' && peek() <= '9') {
      value = std::min<std::int64_t>(std::max<std::int64_t>(value, 0) * 10 + (peek() - '0'),
                                     kMaxWidth + 1);
      ++at;
    }
    return value;
  };
  const std::size_t first = text.empty() ? 0 : char_bytes(text[0]);
  if (first > 0 && is_align(peek(first))) {
    spec.fill = text.substr(0, first);
    spec.align = peek(first);
    at = first + 1;
  } else if (is_align(peek())) {
    spec.align = peek();
    ++at;
  }
  if (peek() == '+' || peek() == '-' || peek() == ' ') spec.sign = text[at++];
  if (peek() == '#') {
    spec.alternate = true;
    ++at;
  }
  if (peek() == '0') {
    if (spec.align == '\0') {
      spec.fill = "0";
      spec.align = '=';
    }
    ++at;
  }
  spec.width = number(0);
  if (peek() == ',' || peek() == '_') spec.group = text[at++];
  if (peek() == '.') {
    ++at;
    spec.precision = number(-1);
    if (spec.precision < 0) machine.fail("format specifier misses its precision");
  }
  if (at < text.size()) spec.type = text[at++];
  if (at < text.size())
    machine.fail("invalid format specifier '{}'", std::string(text.substr(0, 60)));
  check_bounds(machine, spec);
  return spec;
}

Text format_text(Machine& machine, const FormatSpec& spec, const Text& value) {
  if ((spec.type != '\0' && spec.type != 's') || spec.sign != '-' || spec.alternate ||
      spec.group != '\0') {
    machine.fail("format specifier does not fit a string");
  }
  if (spec.align == '=' && spec.fill != "0") machine.fail("'=' alignment does not fit a string");
  FormatSpec adjusted = spec;
  if (spec.align == '=') adjusted.align = '<';
  Text body = value;
  if (spec.precision >= 0) {
    body = body.slice(0, byte_of_char(body.view(), static_cast<std::size_t>(spec.precision)));
  }
  return padded(machine, adjusted, "", body, '<');
}

// Zero padding that respects group separators is rare enough to be refused.
void refuse_grouped_zeros(Machine& machine, const FormatSpec& spec) {
  if (spec.group != '\0' && spec.align == '=' && spec.width > 0) {
    machine.unsupported("zero padding together with digit groups");
  }
}

Text format_real(Machine& machine, const FormatSpec& spec, double number) {
  refuse_grouped_zeros(machine, spec);
  const bool negative = std::signbit(number) && !std::isnan(number);
  const double magnitude = std::abs(number);
  std::string digits;
  switch (spec.type) {
    case '\0':
      if (spec.precision < 0) {
        digits = real_repr(magnitude);
      } else {
        digits = real_digits(magnitude, 'g', spec.precision, spec.alternate);
        if (digits.find_first_of(".en") == std::string::npos) digits += ".0";
      }
      break;
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
      digits = real_digits(magnitude, spec.type, spec.precision, spec.alternate);
      break;
    case '%':
      digits = real_digits(magnitude * 100, 'f', spec.precision, spec.alternate) + "%";
      break;
    default:
      machine.fail("format code '{}' does not fit a float", spec.type);
  }
  if (spec.group != '\0') {
    const std::size_t end = std::min(digits.find_first_not_of("0123456789"), digits.size());
    digits = group_digits(digits.substr(0, end), spec.group, 3) + digits.substr(end);
  }
  return padded(machine, spec, sign_of(negative, spec.sign), Text(std::move(digits)), '>');
}

Text format_integer(Machine& machine, const FormatSpec& spec, std::int64_t number) {
  if (spec.type != '\0' && std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos) {
    return format_real(machine, spec, static_cast<double>(number));
  }
  refuse_grouped_zeros(machine, spec);
  if (spec.precision >= 0) machine.fail("precision does not fit an integer");
  const auto magnitude =
      number < 0 ? 0 - static_cast<std::uint64_t>(number) : static_cast<std::uint64_t>(number);
  std::string head = sign_of(number < 0, spec.sign);
  std::string digits;
  switch (spec.type) {
    case '\0':
    case 'd':
    case 'n':
      digits = integer_digits(magnitude, 'd');
      break;
    case 'x':
    case 'X':
    case 'o':
    case 'b':
      digits = integer_digits(magnitude, spec.type);
      if (spec.alternate) head += std::string("0") + spec.type;
      break;
    case 'c':
      digits.clear();
      if (magnitude >= 0x110000 || number < 0 || (magnitude >= 0xD800 && magnitude < 0xE000)) {
        machine.fail("format code 'c' wants a character code");
      }
      append_utf8(digits, static_cast<std::uint32_t>(magnitude));
      return padded(machine, spec, "", Text(std::move(digits)), '<');
    default:
      machine.fail("format code '{}' does not fit an integer", spec.type);
  }
  if (spec.group != '\0') {
    const bool decimal = spec.type == '\0' || spec.type == 'd';
    if (!decimal && spec.group == ',') machine.fail("',' does not fit format code '{}'", spec.type);
    digits = group_digits(digits, spec.group, decimal ? 3 : 4);
  }
  return padded(machine, spec, head, Text(std::move(digits)), '>');
}

class Braces {
 public:
  Braces(Machine& machine, const Arguments& arguments) : machine_(machine), arguments_(arguments) {}

  Text run(const Text& format, int depth) {
    if (depth > 2) machine_.fail("format specifiers are nested too deeply");
    const std::string& text = format.bytes();
    Text out;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t brace = std::min(text.find_first_of("{}", at), text.size());
      machine_.charge(brace - at);
      out.append(format, at, brace);
      if (brace == text.size()) break;
      if (brace + 1 < text.size() && text[brace + 1] == text[brace]) {
        out.append(format, brace, brace + 1);
        at = brace + 2;
        continue;
      }
      if (text[brace] == '}') machine_.fail("single '}}' in a format string");
      std::size_t end = brace + 1;
      for (int open = 1;; ++end) {
        if (end >= text.size()) machine_.fail("single '{{' in a format string");
        open += text[end] == '{' ? 1 : text[end] == '}' ? -1 : 0;
        if (open == 0) break;
      }
      out.append(field(format.slice(brace + 1, end), depth));
      at = end + 1;
    }
    return out;
  }

 private:
  Text field(const Text& body, int depth) {
    machine_.step();
    const std::string& text = body.bytes();
    // The name ends at the first ! or : outside of brackets.
    std::size_t name_end = 0;
    for (bool inside = false; name_end < text.size(); ++name_end) {
      const char c = text[name_end];
      if (c == '[') inside = true;
      if (c == ']') inside = false;
      if (!inside && (c == '!' || c == ':')) break;
    }
    Value value = lookup(text.substr(0, name_end));
    std::size_t at = name_end;
    if (at < text.size() && text[at] == '!') {
      if (at + 1 >= text.size()) machine_.fail("format field ends after '!'");
      value = converted(value, text[at + 1]);
      at += 2;
      if (at < text.size() && text[at] != ':') machine_.fail("expected ':' after the conversion");
    }
    Text spec;
    if (at < text.size()) spec = run(body.slice(at + 1, body.size()), depth + 1);
    return formatted(value, parse_spec(machine_, spec.view()), spec.empty());
  }

  Value converted(const Value& value, char conversion) {
    if (conversion == 's') return machine_.string(to_text(machine_, value));
    if (conversion != 'r') machine_.fail("unknown conversion '!{}'", conversion);
    std::string shown;
    bool user = false;
    append_repr(machine_, shown, user, value);
    return machine_.string(std::move(shown), user ? Origin::user : Origin::format);
  }

  Text formatted(const Value& value, const FormatSpec& spec, bool empty) {
    if (value.is(Kind::string)) return format_text(machine_, spec, value.text());
    if (value.is(Kind::integer)) return format_integer(machine_, spec, value.integer);
    if (value.is(Kind::real)) return format_real(machine_, spec, value.real);
    if (empty) return to_text(machine_, value);
    if (value.is(Kind::boolean)) return format_integer(machine_, spec, value.as_int());
    machine_.fail("a format specifier does not fit '{}'", type_name(value));
  }

  static bool is_number(std::string_view text) {
    return !text.empty() && text.size() < 10 &&
           text.find_first_not_of("0123456789") == std::string_view::npos;
  }

  Value first(const std::string& name) {
    std::size_t index = automatic_;
    if (name.empty()) {
      ++automatic_;
    } else if (is_number(name)) {
      index = static_cast<std::size_t>(std::atoi(name.c_str()));
    } else {
      for (const auto& [key, value] : arguments_.named) {
        if (key == name) return value;
      }
      machine_.fail("format() misses argument '{}'", name.substr(0, 60));
    }
    if (index >= arguments_.positional.size()) machine_.fail("format() misses argument {}", index);
    return arguments_.positional[index];
  }

  // name.attribute[item]…
  Value lookup(const std::string& path) {
    std::size_t at = std::min(path.find_first_of(".["), path.size());
    Value value = first(path.substr(0, at));
    while (at < path.size()) {
      if (path[at] == '.') {
        const std::size_t end = std::min(path.find_first_of(".[", at + 1), path.size());
        value = get_attribute(machine_, value, path.substr(at + 1, end - at - 1));
        at = end;
        continue;
      }
      const std::size_t end = path.find(']', at);
      if (path[at] != '[' || end == std::string::npos) machine_.fail("malformed format field");
      const std::string key = path.substr(at + 1, end - at - 1);
      value = get_item(machine_, value,
                       is_number(key) ? Value::of(static_cast<std::int64_t>(std::atoi(key.c_str())))
                                      : machine_.string(key));
      at = end + 1;
    }
    return value;
  }

  Machine& machine_;
  const Arguments& arguments_;
  std::size_t automatic_ = 0;
};

}  // namespace

Value brace_format(Machine& machine, const Value& format, const Arguments& arguments) {
  return machine.string(Braces(machine, arguments).run(format.text(), 0), format.string().markup);
}

}  // namespace nautile::jinja
