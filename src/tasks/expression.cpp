// expression.cpp — two stacks (Dijkstra's shunting yard), so that brackets cost no recursion.
#include "tasks/expression.h"

#include <fmt/format.h>

#include <limits>
#include <numeric>
#include <optional>

namespace nautile::tasks {
namespace {

using Wide = __int128;

std::optional<Rational> reduced(Wide numerator, Wide denominator) {
  if (denominator == 0) return std::nullopt;
  if (denominator < 0) numerator = -numerator, denominator = -denominator;
  Wide a = numerator < 0 ? -numerator : numerator, b = denominator;
  while (b != 0) {
    const Wide rest = a % b;
    a = b;
    b = rest;
  }
  numerator /= a;
  denominator /= a;
  constexpr Wide kMost = std::numeric_limits<std::int64_t>::max();
  if (numerator > kMost || numerator < -kMost || denominator > kMost) return std::nullopt;
  return Rational{static_cast<std::int64_t>(numerator), static_cast<std::int64_t>(denominator)};
}

// nullopt: a division by zero or a value beyond 64 bits.
std::optional<Rational> apply(char op, Rational a, Rational b) {
  const Wide an = a.numerator, ad = a.denominator, bn = b.numerator, bd = b.denominator;
  switch (op) {
    case '+':
      return reduced(an * bd + bn * ad, ad * bd);
    case '-':
      return reduced(an * bd - bn * ad, ad * bd);
    case '*':
      return reduced(an * bn, ad * bd);
    default:
      return reduced(an * bd, ad * bn);
  }
}

int precedence(char op) {
  return op == '(' ? 0 : op == '+' || op == '-' ? 1 : 2;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  ParsedExpression parse() {
    ParsedExpression result;
    if (text_.size() > kMaxExpression) {
      result.fault = fmt::format("it is longer than {} bytes", kMaxExpression);
      return result;
    }
    while (at_ < text_.size() && fault_.empty()) step();
    if (fault_.empty() && expect_value_) fault_ = "it ends where a number is expected";
    while (fault_.empty() && !operators_.empty()) {
      if (operators_.back() == '(') fault_ = "a bracket is not closed";
      if (fault_.empty()) reduce();
    }
    result.fault = fault_;
    if (fault_.empty()) result.expression = {values_.back(), numbers_};
    return result;
  }

 private:
  void step() {
    const char c = text_[at_];
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      ++at_;
    } else if (c >= '0' && c <= '9') {
      number();
    } else if (c == '(' && expect_value_) {
      operators_.push_back(c);
      ++at_;
    } else if (c == ')' && !expect_value_) {
      close();
    } else if ((c == '+' || c == '-' || c == '*' || c == '/') && !expect_value_) {
      while (fault_.empty() && !operators_.empty() &&
             precedence(operators_.back()) >= precedence(c)) {
        reduce();
      }
      operators_.push_back(c);
      expect_value_ = true;
      ++at_;
    } else {
      fault_ = fmt::format("at byte {}: {} is expected", at_,
                           expect_value_ ? "a number or (" : "+ - * / or )");
    }
  }

  void number() {
    std::int64_t value = 0;
    const std::size_t begin = at_;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      if (at_ - begin == 9) {
        fault_ = "a number has more than 9 digits";
        return;
      }
      value = value * 10 + (text_[at_] - '0');
    }
    if (!expect_value_) {
      fault_ = fmt::format("at byte {}: + - * / or ) is expected", begin);
      return;
    }
    values_.push_back({value, 1});
    numbers_.push_back(value);
    expect_value_ = false;
  }

  void close() {
    while (fault_.empty() && !operators_.empty() && operators_.back() != '(') reduce();
    if (!fault_.empty()) return;
    if (operators_.empty()) {
      fault_ = fmt::format("at byte {}: a bracket closes that was not opened", at_);
      return;
    }
    operators_.pop_back();
    ++at_;
  }

  void reduce() {
    const Rational right = values_.back();
    values_.pop_back();
    const auto value = apply(operators_.back(), values_.back(), right);
    operators_.pop_back();
    if (!value) {
      fault_ = right.numerator == 0 ? "it divides by zero" : "its value is too large";
      return;
    }
    values_.back() = *value;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  bool expect_value_ = true;
  std::vector<char> operators_;
  std::vector<Rational> values_;
  std::vector<std::int64_t> numbers_;
  std::string fault_;
};

}  // namespace

ParsedExpression parse_expression(std::string_view text) {
  return Parser(text).parse();
}

}  // namespace nautile::tasks
