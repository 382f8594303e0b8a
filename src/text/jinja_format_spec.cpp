// jinja_format_spec.cpp — digits and padding.
#include "text/jinja_format_spec.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "text/jinja_chars.h"

namespace nautile::jinja {

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

Text padded(Machine& machine, const FormatSpec& spec, const std::string& head, const Text& body,
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

void check_bounds(Machine& machine, const FormatSpec& spec) {
  if (spec.width > kMaxWidth || spec.precision > kMaxWidth) {
    machine.fail("format width budget exhausted ({} characters)", kMaxWidth);
  }
}

}  // namespace nautile::jinja
