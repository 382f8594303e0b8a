// grammar_number.h — numbers of JSON between bounds, exactly.
#pragma once

#include <optional>

#include "text/decimal.h"
#include "text/grammar_json.h"

namespace nautile {

struct NumberBound {
  Decimal value;
  bool exclusive = false;
};

struct NumberRange {
  std::optional<NumberBound> low, high;
  // Keep the tighter of what is there and this.
  void at_least(const NumberBound& bound);
  void at_most(const NumberBound& bound);
  bool bounded() const { return low || high; }
  bool holds(const Decimal& value) const;
};

// Integers in the range that are multiples of `multiple` (1: all); no "-0". Without a bound on a
// side they have at most 18 digits there. Throws Error(unsupported) when a multiple takes too many
// states.
ExprId bounded_integer(GrammarRules& rules, const NumberRange& range, std::uint64_t multiple);

// Decimals in the range, without exponents: at most 15 significant digits, so that no two of them,
// nor one and a bound, become the same double; a bound of more digits is spelt out besides.
ExprId bounded_number(GrammarRules& rules, const NumberRange& range);

}  // namespace nautile
