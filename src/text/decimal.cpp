#include "text/decimal.h"

#include <cmath>
#include <cstdlib>

#include "base/error.h"

namespace nautile {
namespace {

constexpr double kExactFrom = 9007199254740992.0;     // 2^53: every double is an integer from here
constexpr double kTooLarge = 18446744073709551616.0;  // 2^64

std::strong_ordering compare_magnitudes(const Decimal& a, const Decimal& b) {
  if (a.whole.size() != b.whole.size()) return a.whole.size() <=> b.whole.size();
  if (const auto whole = a.whole <=> b.whole; whole != 0) return whole;
  return a.fraction <=> b.fraction;
}

}  // namespace

Decimal Decimal::of(const nlohmann::ordered_json& number) {
  std::string text = number.dump();
  if (number.is_number_float()) {
    const auto value = number.get<double>();
    if (!(std::fabs(value) < kTooLarge)) {
      fail(
          ErrorKind::unsupported,
          "the number {}: numbers of more than 64 bits are rounded by JSON libraries and cannot be "
          "held to exactly",
          text);
    }
    if (std::fabs(value) >= kExactFrom) text = fmt::format("{:.0f}", value);
  }
  Decimal result;
  result.negative = text[0] == '-';
  if (result.negative) text.erase(0, 1);
  int exponent = 0;
  if (const std::size_t e = text.find('e'); e != text.npos) {
    exponent = std::atoi(text.c_str() + e + 1);
    text.resize(e);
  }
  const std::size_t point = text.find('.');
  std::string digits = text.substr(0, point);
  const auto whole = static_cast<std::ptrdiff_t>(digits.size()) + exponent;
  if (point != text.npos) digits += text.substr(point + 1);
  if (whole <= 0) {
    result.fraction = std::string(static_cast<std::size_t>(-whole), '0') + digits;
  } else {
    const auto count = static_cast<std::size_t>(whole);
    if (digits.size() < count) digits.resize(count, '0');
    result.whole = digits.substr(0, count);
    result.fraction = digits.substr(count);
  }
  const std::size_t first = result.whole.find_first_not_of('0');
  result.whole = first == result.whole.npos ? "0" : result.whole.substr(first);
  result.fraction.resize(result.fraction.find_last_not_of('0') + 1);
  if (result.is_zero()) result.negative = false;
  return result;
}

std::size_t Decimal::significant_digits() const {
  const std::string digits = whole + fraction;
  const std::size_t first = digits.find_first_not_of('0');
  return first == digits.npos ? 0 : digits.find_last_not_of('0') + 1 - first;
}

Decimal Decimal::negated() const {
  Decimal result = *this;
  result.negative = !negative && !is_zero();
  return result;
}

Decimal::Wide Decimal::floor() const {
  Wide value = 0;
  for (const char digit : whole) value = value * 10 + (digit - '0');
  if (!negative) return value;
  return is_integer() ? -value : -value - 1;
}

std::strong_ordering operator<=>(const Decimal& a, const Decimal& b) {
  if (a.negative != b.negative) {
    return a.negative ? std::strong_ordering::less : std::strong_ordering::greater;
  }
  return a.negative ? compare_magnitudes(b, a) : compare_magnitudes(a, b);
}

}  // namespace nautile
