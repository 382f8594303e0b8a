// story.h — Story: a word problem as it is being told: sentences, quantities and steps.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tasks/generators.h"

namespace nautile::tasks {

class Story {
 public:
  explicit Story(Draw& draw) : draw_(draw) {}

  Draw& draw() { return draw_; }
  // A quantity that the text will tell; it counts among the problem's numbers.
  std::int64_t quantity(std::int64_t low, std::int64_t high) {
    return told(draw_.between(low, high));
  }
  std::int64_t told(std::int64_t value) {
    numbers_.push_back(value);
    return value;
  }

  // One of the patterns, filled: {n} is arguments by name (fmt).
  template <class... Args>
  void say(std::initializer_list<const char*> patterns, const Args&... args) {
    add(fmt::format(fmt::runtime(draw_.pick(patterns)), args...));
  }

  // A step of the solution: "label: a+b=c." -> c.
  std::int64_t step(std::string_view label, std::int64_t a, char op, std::int64_t b) {
    thought_ +=
        fmt::format("{}{}: {}.", thought_.empty() ? "" : " ", label, equation(draw_, a, op, b));
    return compute(a, op, b);
  }
  void remark(const std::string& text) { thought_ += (thought_.empty() ? "" : " ") + text; }

  Problem finish(std::int64_t answer) const {
    Problem problem;
    problem.numbers = numbers_;
    problem.prompt = text_;
    problem.thought = fmt::format("{} The answer is {}.", thought_, answer);
    problem.answer = std::to_string(answer);
    return problem;
  }

 private:
  // A sentence begins with a capital, whatever its first word is.
  void add(std::string part) {
    const bool begins = text_.empty() || text_.back() == '.';
    if (begins && part[0] >= 'a' && part[0] <= 'z')
      part[0] = static_cast<char>(part[0] - 'a' + 'A');
    text_ += (text_.empty() ? "" : " ") + part;
  }

  Draw& draw_;
  std::vector<std::int64_t> numbers_;
  std::string text_, thought_;
};

// One kind of story. Each tells at least one quantity and takes 1 to 4 steps.
using StoryTeller = Problem (*)(Story& story);
const std::vector<StoryTeller>& possession_stories();  // having, giving, sharing, comparing
const std::vector<StoryTeller>& measure_stories();     // money, time, distance, containers

}  // namespace nautile::tasks
