// jinja_format_spec.h — what both of Python's ways to format share: width, fill, sign and digits.
#pragma once

#include <cstdint>
#include <string>

#include "text/jinja_machine.h"

namespace nautile::jinja {

constexpr std::int64_t kMaxWidth = 1 << 16;  // also bounds precision

struct FormatSpec {
  std::string fill = " ";
  char align = '\0';  // < > ^ =
  char sign = '-';
  bool alternate = false;
  char group = '\0';  // , or _
  std::int64_t width = 0;
  std::int64_t precision = -1;
  char type = '\0';
};

// Digits of an integer in type d, x, X, o or b.
std::string integer_digits(std::uint64_t magnitude, char type);
// Digits of a number that is not negative, as C's printf writes them for type e, f, g, E, F or G.
std::string real_digits(double magnitude, char type, std::int64_t precision, bool alternate);
// "-", "+", " " or nothing, as `sign` asks for numbers that are not negative.
std::string sign_of(bool negative, char sign);
// `head` (a sign, a prefix) and `body` with their fill; `align` counts where the spec says nothing.
// '=' puts the fill between the two.
Text padded(Machine& machine, const FormatSpec& spec, const std::string& head, const Text& body,
            char align);
// Fails if width or precision are beyond kMaxWidth.
void check_bounds(Machine& machine, const FormatSpec& spec);

}  // namespace nautile::jinja
