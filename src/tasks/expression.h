// expression.h — arithmetic expressions as models write them, evaluated exactly.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nautile::tasks {

// A fraction in lowest terms with a positive denominator.
struct Rational {
  std::int64_t numerator = 0;
  std::int64_t denominator = 1;
  bool operator==(const Rational&) const = default;
};

struct Expression {
  Rational value;
  std::vector<std::int64_t> numbers;  // as they occur, from the left
};

// Either an expression or what is wrong with the text.
struct ParsedExpression {
  Expression expression;
  std::string fault;  // empty: the expression is good
};

// Whole numbers (at most 9 digits), + - * / with the usual precedence, ( ), spaces; no signs. Any
// bytes: linear time, no recursion; longer than kMaxExpression bytes is a fault, as are a division
// by zero and values beyond 64 bits.
ParsedExpression parse_expression(std::string_view text);
inline constexpr std::size_t kMaxExpression = 4096;

}  // namespace nautile::tasks
