// jinja_format.cpp — printf-style and brace-style formatting of template values.
#include "text/jinja_format.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "text/jinja_chars.h"
#include "text/jinja_ops.h"

namespace nautile::jinja {
namespace {

constexpr std::int64_t kMaxWidth = 1 << 16;  // also bounds precision

struct Spec {
  std::string fill = " ";
  char align = '\0';  // < > ^ =
  char sign = '-';
  bool alternate = false;
  char group = '\0';  // , or _
  std::int64_t width = 0;
  std::int64_t precision = -1;
  char type = '\0';
};

std::string group_digits(const std::string& digits, char separator, std::size_t run) {
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % run == 0) out += separator;
    out += digits[i];
  }
  return out;
}

// Sign, prefix and digits of an integer, apart so that zero padding can go between.
std::string integer_digits(std::uint64_t magnitude, char type) {
  switch (type) {
    case 'x':
      return fmt::format("{:x}", magnitude);
    case 'X':
      return fmt::format("{:X}", magnitude);
    case 'o':
      return fmt::format("{:o}", magnitude);
    case 'b':
      return fmt::format("{:b}", magnitude);
    default:
      return fmt::format("{}", magnitude);
  }
}

std::string real_digits(double magnitude, char type, std::int64_t precision, bool alternate) {
  if (std::isnan(magnitude)) return type == 'F' || type == 'E' || type == 'G' ? "NAN" : "nan";
  if (std::isinf(magnitude)) return type == 'F' || type == 'E' || type == 'G' ? "INF" : "inf";
  const std::string pattern = fmt::format("%{}.*{}", alternate ? "#" : "", type);
  const int digits = static_cast<int>(precision < 0 ? 6 : precision);
  const int size = std::snprintf(nullptr, 0, pattern.c_str(), digits, magnitude);
  std::string out(static_cast<std::size_t>(size) + 1, '\0');
  std::snprintf(out.data(), out.size(), pattern.c_str(), digits, magnitude);
  out.pop_back();
  return out;
}

// Text with its fill; numbers align right, all else left, unless told otherwise.
Text padded(Machine& machine, const Spec& spec, const std::string& head, const Text& body,
            char align) {
  const auto chars = static_cast<std::int64_t>(count_chars(head) + count_chars(body.view()));
  const std::int64_t missing = spec.width - chars;
  machine.charge(body.size() + head.size() +
                 static_cast<std::size_t>(std::max<std::int64_t>(missing, 0)) * spec.fill.size());
  Text out;
  const auto fill = [&](std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) out.append(spec.fill, Origin::format);
  };
  if (spec.align != '\0') align = spec.align;
  const std::int64_t left = align == '>' ? missing : align == '^' ? missing / 2 : 0;
  fill(left);
  out.append(head, Origin::format);
  if (align == '=') fill(missing);
  out.append(body);
  if (align == '<') fill(missing);
  if (align == '^') fill(missing - left);
  return out;
}

std::string sign_of(bool negative, char sign) {
  if (negative) return "-";
  return sign == '-' ? "" : std::string(1, sign);
}

void check_bounds(Machine& machine, const Spec& spec) {
  if (spec.width > kMaxWidth || spec.precision > kMaxWidth) {
    machine.fail("format width budget exhausted ({} characters)", kMaxWidth);
  }
}

// ---- "%s" % x

class Percent {
 public:
  Percent(Machine& machine, const Text& format, const Value& argument)
      : machine_(machine), format_(format), argument_(argument) {
    if (argument.is(Kind::tuple))
      positional_ = argument.sequence().items;
    else
      positional_ = {argument};
  }

  Text run() {
    const std::string& text = format_.bytes();
    std::size_t plain = 0;
    while (at_ < text.size()) {
      if (text[at_] != '%') {
        ++at_;
        continue;
      }
      out_.append(format_, plain, at_++);
      conversion();
      plain = at_;
    }
    out_.append(format_, plain, text.size());
    // What Python takes for a mapping may be left over: it serves names.
    const bool mapping = argument_.is(Kind::dict) || argument_.is(Kind::list) ||
                         argument_.is(Kind::range) || argument_.is(Kind::undefined);
    if (used_ < positional_.size() && !mapping) {
      machine_.fail("not all arguments were converted by the % format");
    }
    return std::move(out_);
  }

 private:
  char peek() const {
    if (at_ >= format_.size()) machine_.fail("incomplete % format");
    return format_.bytes()[at_];
  }

  const Value& take() {
    if (has_name_) return by_name_;
    if (used_ >= positional_.size()) machine_.fail("not enough arguments for the % format");
    return positional_[used_++];
  }

  std::int64_t number() {
    if (peek() == '*') {
      ++at_;
      const Value& value = take();
      if (!value.is_int()) machine_.fail("* in a % format wants an integer");
      return value.as_int();
    }
    std::int64_t value = 0;
    while (peek() >= '0' && peek() <= '9') {
      value = std::min<std::int64_t>(value * 10 + (peek() - '0'), kMaxWidth + 1);
      ++at_;
    }
    return value;
  }

  void name() {
    has_name_ = peek() == '(';
    if (!has_name_) return;
    const std::size_t begin = ++at_;
    for (int open = 1;; ++at_) {
      open += peek() == '(' ? 1 : peek() == ')' ? -1 : 0;
      if (open == 0) break;
    }
    const std::string key = format_.bytes().substr(begin, at_++ - begin);
    if (!argument_.is(Kind::dict)) machine_.fail("the % format requires a mapping");
    const Value* found = machine_.get(argument_.dict(), key);
    if (found == nullptr) machine_.fail("the % format's key '{}' is missing", key);
    by_name_ = *found;
  }

  void conversion() {
    machine_.step();
    name();
    Spec spec;
    bool zero = false;
    for (;; ++at_) {
      const char flag = peek();
      if (flag == '-')
        spec.align = '<';
      else if (flag == '+')
        spec.sign = '+';
      else if (flag == ' ')
        spec.sign = spec.sign == '+' ? '+' : ' ';
      else if (flag == '#')
        spec.alternate = true;
      else if (flag == '0')
        zero = true;
      else
        break;
    }
    spec.width = number();
    if (spec.width < 0) {
      spec.align = '<';
      spec.width = spec.width < -kMaxWidth ? kMaxWidth + 1 : -spec.width;
    }
    if (peek() == '.') {
      ++at_;
      spec.precision = std::max<std::int64_t>(number(), 0);
    }
    while (peek() == 'l' || peek() == 'h' || peek() == 'L') ++at_;
    spec.type = peek();
    ++at_;
    check_bounds(machine_, spec);
    if (spec.type == '%') return out_.append("%", Origin::format);
    convert(spec, zero, take());
  }

  void convert(Spec& spec, bool zero, const Value& value) {
    switch (spec.type) {
      case 's':
      case 'r':
      case 'a':
        return text(spec, value);
      case 'c':
        return character(spec, value);
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o':
        return integer(spec, zero, value);
      case 'f':
      case 'F':
      case 'e':
      case 'E':
      case 'g':
      case 'G':
        return real(spec, zero, value);
      default:
        machine_.fail("unsupported format character '{}'", spec.type);
    }
  }

  void text(const Spec& spec, const Value& value) {
    Text body;
    if (spec.type == 's') {
      body = to_text(machine_, value);
    } else {
      std::string shown;
      bool user = false;
      append_repr(machine_, shown, user, value);
      if (spec.type == 'a' && count_chars(shown) != shown.size())
        machine_.unsupported("%a of such text");
      body = Text(std::move(shown), user ? Origin::user : Origin::format);
    }
    if (spec.precision >= 0) {
      body = body.slice(0, byte_of_char(body.view(), static_cast<std::size_t>(spec.precision)));
    }
    out_.append(padded(machine_, spec, "", body, '>'));
  }

  void character(const Spec& spec, const Value& value) {
    Text body;
    if (value.is(Kind::string) && value.string().chars == 1) {
      body = value.text();
    } else if (value.is_int() && value.as_int() >= 0 && value.as_int() < 0x110000 &&
               (value.as_int() < 0xD800 || value.as_int() > 0xDFFF)) {
      std::string bytes;
      append_utf8(bytes, static_cast<std::uint32_t>(value.as_int()));
      body = Text(std::move(bytes));
    } else {
      machine_.fail("%c wants an integer or one character");
    }
    out_.append(padded(machine_, spec, "", body, '>'));
  }

  void integer(Spec& spec, bool zero, const Value& value) {
    std::int64_t number = 0;
    if (value.is_int()) {
      number = value.as_int();
    } else if (value.is(Kind::real) && std::abs(value.real) < 9e18 &&
               (spec.type == 'd' || spec.type == 'i' || spec.type == 'u')) {
      number = static_cast<std::int64_t>(value.real);
    } else {
      machine_.fail("%{} wants an integer, found '{}'", spec.type, type_name(value));
    }
    const auto magnitude =
        number < 0 ? 0 - static_cast<std::uint64_t>(number) : static_cast<std::uint64_t>(number);
    std::string digits = integer_digits(magnitude, spec.type);
    if (spec.precision > static_cast<std::int64_t>(digits.size())) {
      digits.insert(0, static_cast<std::size_t>(spec.precision) - digits.size(), '0');
    }
    std::string head = sign_of(number < 0, spec.sign);
    if (spec.alternate && (spec.type == 'x' || spec.type == 'X' || spec.type == 'o')) {
      head += std::string("0") + spec.type;
    }
    finish(spec, zero, head, digits);
  }

  void real(Spec& spec, bool zero, const Value& value) {
    if (!value.is_number()) {
      machine_.fail("%{} wants a number, found '{}'", spec.type, type_name(value));
    }
    const double number = value.as_real();
    const bool negative = std::signbit(number) && !std::isnan(number);
    finish(spec, zero, sign_of(negative, spec.sign),
           real_digits(std::abs(number), spec.type, spec.precision, spec.alternate));
  }

  void finish(Spec& spec, bool zero, const std::string& head, std::string digits) {
    if (zero && spec.align == '\0') {
      spec.fill = "0";
      spec.align = '=';
    }
    out_.append(padded(machine_, spec, head, Text(std::move(digits)), '>'));
  }

  Machine& machine_;
  const Text& format_;
  const Value& argument_;
  std::vector<Value> positional_;
  std::size_t used_ = 0;
  std::size_t at_ = 0;
  bool has_name_ = false;  // this conversion names its argument
  Value by_name_;
  Text out_;
};

// ---- "{}".format(x)

Spec parse_spec(Machine& machine, std::string_view text) {
  Spec spec;
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

Text format_text(Machine& machine, const Spec& spec, const Text& value) {
  if ((spec.type != '\0' && spec.type != 's') || spec.sign != '-' || spec.alternate ||
      spec.group != '\0') {
    machine.fail("format specifier does not fit a string");
  }
  if (spec.align == '=' && spec.fill != "0") machine.fail("'=' alignment does not fit a string");
  Spec adjusted = spec;
  if (spec.align == '=') adjusted.align = '<';
  Text body = value;
  if (spec.precision >= 0) {
    body = body.slice(0, byte_of_char(body.view(), static_cast<std::size_t>(spec.precision)));
  }
  return padded(machine, adjusted, "", body, '<');
}

// Zero padding that respects group separators is rare enough to be refused.
void refuse_grouped_zeros(Machine& machine, const Spec& spec) {
  if (spec.group != '\0' && spec.align == '=' && spec.width > 0) {
    machine.unsupported("zero padding together with digit groups");
  }
}

Text format_real(Machine& machine, const Spec& spec, double number) {
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

Text format_integer(Machine& machine, const Spec& spec, std::int64_t number) {
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

  Text formatted(const Value& value, const Spec& spec, bool empty) {
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

Value percent_format(Machine& machine, const Value& format, const Value& argument) {
  return machine.string(Percent(machine, format.text(), argument).run(), format.string().markup);
}

Value brace_format(Machine& machine, const Value& format, const Arguments& arguments) {
  return machine.string(Braces(machine, arguments).run(format.text(), 0), format.string().markup);
}

}  // namespace nautile::jinja
