#include "tasks/answer.h"

#include <algorithm>

#include "tasks/expression.h"
#include "tasks/task.h"

namespace nautile::tasks {
namespace {

bool is_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == text.npos;
}

// "+007" and "7" are one number; "-0" is 0. Words go to lower case.
std::string canonical(std::string_view item) {
  std::string_view digits = item;
  const bool signed_number = item.size() > 1 && (item[0] == '-' || item[0] == '+');
  if (signed_number) digits.remove_prefix(1);
  if (is_digits(digits)) {
    const std::size_t first = std::min(digits.find_first_not_of('0'), digits.size() - 1);
    const std::string value(digits.substr(first));
    return item[0] == '-' && value != "0" ? "-" + value : value;
  }
  std::string word(item);
  for (char& c : word) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return word;
}

std::vector<std::string> items_of(std::string_view text) {
  constexpr std::string_view kBetween = " \t\r\n,";
  while (!text.empty() && (text.back() == '.' || kBetween.find(text.back()) != text.npos)) {
    text.remove_suffix(1);
  }
  std::vector<std::string> items;
  for (std::size_t at = 0; (at = text.find_first_not_of(kBetween, at)) != text.npos;) {
    const std::size_t end = std::min(text.find_first_of(kBetween, at), text.size());
    items.push_back(canonical(text.substr(at, end - at)));
    at = end;
  }
  return items;
}

std::string shown(const Rational& value) {
  return value.denominator == 1 ? std::to_string(value.numerator)
                                : fmt::format("{}/{}", value.numerator, value.denominator);
}

}  // namespace

std::string plain_fault(const Problem& problem, std::string_view answer) {
  const std::vector<std::string> expected = items_of(problem.answer), found = items_of(answer);
  if (found.empty()) return "the answer is empty";
  return expected == found ? "" : "the answer is not " + problem.answer;
}

std::string countdown_fault(const Problem& problem, std::string_view answer) {
  const ParsedExpression own = parse_expression(problem.answer);
  NAUTILE_CHECK(own.fault.empty(), "a Countdown problem's answer '{}' is no expression: {}",
                problem.answer.substr(0, 80), own.fault);
  ParsedExpression given = parse_expression(answer);
  if (!given.fault.empty()) return "no expression: " + given.fault;
  std::vector<std::int64_t> expected = problem.numbers, used = given.expression.numbers;
  std::sort(expected.begin(), expected.end());
  std::sort(used.begin(), used.end());
  if (used != expected) return "the numbers are not those given, each used once";
  if (given.expression.value == own.expression.value) return "";
  return fmt::format("its value is {}, not {}", shown(given.expression.value),
                     shown(own.expression.value));
}

}  // namespace nautile::tasks
