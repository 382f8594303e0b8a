// jinja_percent.cpp — "%s" % x: printf-style formatting of template values.
#include <algorithm>
#include <cmath>

#include "text/jinja_chars.h"
#include "text/jinja_format.h"
#include "text/jinja_format_spec.h"
#include "text/jinja_ops.h"

namespace nautile::jinja {
namespace {

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
    FormatSpec spec;
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

  void convert(FormatSpec& spec, bool zero, const Value& value) {
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

  void text(const FormatSpec& spec, const Value& value) {
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

  void character(const FormatSpec& spec, const Value& value) {
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

  void integer(FormatSpec& spec, bool zero, const Value& value) {
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

  void real(FormatSpec& spec, bool zero, const Value& value) {
    if (!value.is_number()) {
      machine_.fail("%{} wants a number, found '{}'", spec.type, type_name(value));
    }
    const double number = value.as_real();
    const bool negative = std::signbit(number) && !std::isnan(number);
    finish(spec, zero, sign_of(negative, spec.sign),
           real_digits(std::abs(number), spec.type, spec.precision, spec.alternate));
  }

  void finish(FormatSpec& spec, bool zero, const std::string& head, std::string digits) {
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

}  // namespace

Value percent_format(Machine& machine, const Value& format, const Value& argument) {
  return machine.string(Percent(machine, format.text(), argument).run(), format.string().markup);
}

}  // namespace nautile::jinja
