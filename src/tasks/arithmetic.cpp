// arithmetic.cpp — sums, differences and products with the work written out column by column.
#include <algorithm>

#include "tasks/generators.h"

namespace nautile::tasks {
namespace {

std::int64_t power_of_ten(std::int64_t exponent) {
  std::int64_t power = 1;
  for (; exponent > 0; --exponent) power *= 10;
  return power;
}

std::int64_t with_digits(Draw& draw, std::int64_t digits) {
  return draw.between(digits == 1 ? 1 : power_of_ten(digits - 1), power_of_ten(digits) - 1);
}

// Two to four digits are most common.
std::int64_t digits_of_sum(Draw& draw) {
  return draw.pick(std::vector<std::int64_t>{1, 2, 2, 2, 3, 3, 3, 4, 4, 5, 6});
}

// From the right: "7+8=15, write 5, carry 1."
std::string sum_columns(std::int64_t a, std::int64_t b) {
  std::string text;
  std::int64_t carry = 0;
  while (a > 0 || b > 0) {
    const std::int64_t x = a % 10, y = b % 10, sum = x + y + carry;
    text += carry ? fmt::format("{}+{}+1={}", x, y, sum) : fmt::format("{}+{}={}", x, y, sum);
    a /= 10;
    b /= 10;
    carry = sum / 10;
    if (carry && (a > 0 || b > 0)) text += fmt::format(", write {}, carry 1", sum % 10);
    text += ". ";
  }
  return text;
}

// From the right, for a >= b: "3-8: borrow, 13-8=5."
std::string difference_columns(std::int64_t a, std::int64_t b) {
  std::string text;
  std::int64_t borrow = 0;
  for (; a > 0; a /= 10, b /= 10) {
    const std::int64_t x = a % 10, y = b % 10;
    std::string left = std::to_string(x);
    if (borrow) left += "-1";
    std::int64_t digit = x - borrow - y;
    if (digit < 0) {
      digit += 10;
      text += fmt::format("{}-{}: borrow, {}-{}={}. ", left, y, x - borrow + 10, y, digit);
      borrow = 1;
    } else {
      text += fmt::format("{}-{}={}. ", left, y, digit);
      borrow = 0;
    }
  }
  return text;
}

// One product for each digit of b, then their sum.
std::string product_parts(Draw& draw, std::int64_t a, std::int64_t b) {
  std::string text;
  std::int64_t sum = 0;
  bool first = true;
  for (std::int64_t place = 1; place <= b; place *= 10) {
    const std::int64_t part = b / place % 10 * place;
    if (part == 0) continue;
    text += equation(draw, a, '*', part) + ". ";
    if (!first) text += equation(draw, sum, '+', a * part) + ". ";
    sum += a * part;
    first = false;
  }
  return text;
}

std::string prompt_of(Draw& draw, std::int64_t a, char op, std::int64_t b) {
  const char* pattern = draw.pick({"What is {} {} {}?", "Compute {} {} {}.", "{} {} {} = ?",
                                   "Work out {} {} {}.", "How much is {} {} {}?"});
  return fmt::format(fmt::runtime(pattern), a, op, b);
}

}  // namespace

Problem draw_arithmetic(Draw& draw) {
  const char op = draw.pick(std::vector<char>{'+', '+', '-', '-', '*'});
  std::int64_t a, b;
  if (op == '*') {
    a = with_digits(draw, draw.between(1, 3));
    b = with_digits(draw, draw.between(1, 2));
  } else {
    const std::int64_t digits = digits_of_sum(draw);
    a = with_digits(draw, digits);
    b = with_digits(draw, std::max<std::int64_t>(1, digits - draw.below(3)));
    if (op == '-' && a < b && !draw.chance(0.3)) std::swap(a, b);
    if (op == '-' && draw.chance(0.1)) std::swap(a, b);
  }
  Problem problem;
  problem.numbers = {a, b};
  problem.prompt = prompt_of(draw, a, op, b);
  const std::int64_t value = compute(a, op, b);
  problem.thought = fmt::format("{}{}{}. ", a, op, b);
  if (op == '+') {
    problem.thought += sum_columns(a, b);
  } else if (op == '*') {
    problem.thought += product_parts(draw, a, b);
  } else if (a >= b) {
    problem.thought += difference_columns(a, b);
  } else {
    problem.thought += fmt::format("{} is less than {}, so it is -({}-{}). ", a, b, b, a) +
                       difference_columns(b, a);
  }
  problem.thought += fmt::format("{}{}{}={}.", a, op, b, value);
  problem.answer = std::to_string(value);
  return problem;
}

}  // namespace nautile::tasks
