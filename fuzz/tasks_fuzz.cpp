// tasks_fuzz.cpp — libFuzzer: any bytes as a model's answer; checkers hold and agree with
// themselves.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "tasks/expression.h"
#include "tasks/task.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nautile::tasks;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const ParsedExpression parsed = parse_expression(text);
  // A value always comes in lowest terms, with the numbers that the text shows.
  if (parsed.fault.empty() &&
      (parsed.expression.value.denominator < 1 || parsed.expression.numbers.empty())) {
    __builtin_trap();
  }
  const std::string tagged = "<think></think><answer>" + std::string(text) + "</answer>";
  for (const std::string_view response : {text, std::string_view(tagged)}) {
    const Verdict countdown = check("countdown3", {3, 7, 12}, "(12-7)*3", response);
    const Verdict plain = check("arithmetic", {6, 9}, "15", response);
    if (countdown.correct != countdown.reason.empty() || plain.correct != plain.reason.empty()) {
      __builtin_trap();
    }
    // 15 alone uses none of Countdown's numbers; an expression is no plain answer.
    if (countdown.correct && plain.correct) __builtin_trap();
  }
  return 0;
}
