// task.h — Task: a kind of problem with a generator and an exact checker.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tasks/draw.h"

namespace nautile::tasks {

enum class Split : std::uint8_t { train, test };

struct Problem {
  std::string task;                   // its Task's name
  std::vector<std::int64_t> numbers;  // as the prompt gives them; they decide the split
  std::string prompt;
  std::string thought;  // a solution in steps, as it stands between <think> and </think>
  std::string answer;   // a right answer; Countdown accepts every right one

  // "<think>…</think><answer>…</answer>": what an assistant would say.
  std::string response() const;
};

// The side that problems with these numbers are on, in any order and for every seed: one multiset
// in ten is test. So no problem of one side has the numbers of a problem of the other.
Split split_of(std::vector<std::int64_t> numbers);

struct Verdict {
  bool correct = false;      // the answer is right
  bool well_formed = false;  // <think>…</think><answer>…</answer> and nothing else
  std::string reason;        // why not correct; empty if it is
};

struct Task {
  std::string_view name;
  std::string_view what;  // one line of help
  // Draws one problem of either side.
  Problem (*draw)(Draw& draw);
  // Whether the text between the answer tags is right; else says why not.
  std::string (*fault)(const Problem& problem, std::string_view answer);
};

const std::vector<Task>& all_tasks();
// Throws Error(usage) listing the names.
const Task& find_task(std::string_view name);

// Problem `index` of a split: a pure function of its arguments. Problems may repeat where a task
// has few; all of `train` differ in their numbers from all of `test`.
Problem make_problem(const Task& task, std::uint64_t seed, Split split, std::uint64_t index);

// Judges a model's whole text, any bytes: the last <answer>…</answer> counts. Linear in its length.
Verdict check(const Problem& problem, std::string_view response);
// The same by the problem's own fields, as a data file keeps them. Throws Error(usage) for a task
// that is not known, Error(bad_input) for numbers and answer that cannot be such a problem's.
Verdict check(std::string_view task, const std::vector<std::int64_t>& numbers,
              std::string_view answer, std::string_view response);

}  // namespace nautile::tasks
