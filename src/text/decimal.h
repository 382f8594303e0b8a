// decimal.h — Decimal: a number as digits, for bounds that have to be exact.
#pragma once

#include <compare>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace nautile {

// whole has no leading zeros but for "0" itself, fraction no trailing ones.
struct Decimal {
  bool negative = false;
  std::string whole = "0", fraction;

  // Of a JSON number: integers exactly, others by the shortest digits that give the same double.
  // Throws Error(unsupported) for numbers of 2^64 and more, which JSON libraries round.
  static Decimal of(const nlohmann::ordered_json& number);

  bool is_zero() const { return whole == "0" && fraction.empty(); }
  bool is_integer() const { return fraction.empty(); }
  std::size_t significant_digits() const;
  Decimal negated() const;
  // The greatest integer that is not more, the least that is not less.
  __extension__ using Wide = __int128;
  Wide floor() const;
  Wide ceiling() const { return -negated().floor(); }
};

std::strong_ordering operator<=>(const Decimal& a, const Decimal& b);
inline bool operator==(const Decimal& a, const Decimal& b) {
  return (a <=> b) == std::strong_ordering::equal;
}

}  // namespace nautile
