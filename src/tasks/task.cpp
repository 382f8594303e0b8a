// task.cpp — the list of tasks, the split by numbers, and how a response is judged.
#include "tasks/task.h"

#include <algorithm>

#include "tasks/answer.h"
#include "tasks/generators.h"

namespace nautile::tasks {
namespace {

// Streams of random numbers are kept apart by task and split.
std::uint32_t stream_of(std::string_view task, Split split) {
  std::uint64_t hash = split == Split::test ? 1 : 0;
  for (const char c : task) hash = mix64(hash * 257 + static_cast<unsigned char>(c) + 1);
  return static_cast<std::uint32_t>(hash >> 32);
}

std::size_t count_of(std::string_view text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + part.size())) {
    ++count;
  }
  return count;
}

bool is_well_formed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  const std::size_t end = text.find_last_not_of(" \t\r\n");
  if (begin == text.npos) return false;
  text = text.substr(begin, end + 1 - begin);
  for (const std::string_view tag : {"<think>", "</think>", "<answer>", "</answer>"}) {
    if (count_of(text, tag) != 1) return false;
  }
  if (!text.starts_with("<think>") || !text.ends_with("</answer>")) return false;
  const std::size_t closed = text.find("</think>"), opened = text.find("<answer>");
  if (closed > opened) return false;
  const std::string_view between = text.substr(closed + 8, opened - closed - 8);
  return between.find_first_not_of(" \t\r\n") == between.npos;
}

Verdict judge(const Task& task, const Problem& problem, std::string_view response) {
  Verdict verdict;
  verdict.well_formed = is_well_formed(response);
  const std::size_t opened = response.rfind("<answer>");
  const std::size_t closed = opened == response.npos ? opened : response.find("</answer>", opened);
  if (closed == response.npos) {
    verdict.reason = "there is no <answer>…</answer>";
    return verdict;
  }
  verdict.reason = task.fault(problem, response.substr(opened + 8, closed - opened - 8));
  verdict.correct = verdict.reason.empty();
  return verdict;
}

}  // namespace

std::string Problem::response() const {
  return "<think>" + thought + "</think><answer>" + answer + "</answer>";
}

Split split_of(std::vector<std::int64_t> numbers) {
  std::sort(numbers.begin(), numbers.end());
  std::uint64_t hash = 0x6E617574696C65;  // any constant; it fixes which multisets are test
  for (const std::int64_t n : numbers) hash = mix64(hash * 31 + static_cast<std::uint64_t>(n) + 1);
  return hash % 10 == 0 ? Split::test : Split::train;
}

const std::vector<Task>& all_tasks() {
  static const std::vector<Task> tasks = {
      {"countdown3", "reach a target with 3 numbers, each used once; a search that backs up",
       draw_countdown3, countdown_fault},
      {"countdown4", "the same with 4 numbers", draw_countdown4, countdown_fault},
      {"arithmetic", "sums, differences and products of several digits, digit by digit",
       draw_arithmetic, plain_fault},
      {"word", "word problems of 1 to 4 steps", draw_word_problem, plain_fault},
      {"logic", "sorting, counting, ordering and continuing", draw_logic, plain_fault},
  };
  return tasks;
}

const Task& find_task(std::string_view name) {
  std::string names;
  for (const Task& task : all_tasks()) {
    if (task.name == name) return task;
    names += names.empty() ? "" : ", ";
    names += task.name;
  }
  fail(ErrorKind::usage, "there is no task '{}'; there are {}", name, names);
}

Problem make_problem(const Task& task, std::uint64_t seed, Split split, std::uint64_t index) {
  Draw draw(seed, stream_of(task.name, split), index);
  for (int attempt = 0; attempt < 10'000; ++attempt) {  // one in ten is test
    Problem problem = task.draw(draw);
    problem.task = task.name;
    if (split_of(problem.numbers) == split) return problem;
  }
  fail(ErrorKind::failure, "task {} drew no problem of this split in 10,000 attempts", task.name);
}

Verdict check(const Problem& problem, std::string_view response) {
  return judge(find_task(problem.task), problem, response);
}

Verdict check(std::string_view task, const std::vector<std::int64_t>& numbers,
              std::string_view answer, std::string_view response) {
  const Task& known = find_task(task);
  Problem problem;
  problem.task = task;
  problem.numbers = numbers;
  problem.answer = answer;
  const std::string fault = known.fault(problem, answer);
  NAUTILE_CHECK(fault.empty(), "the problem's own answer '{}' is not one of task {}: {}",
                answer.substr(0, 80), task, fault);
  return judge(known, problem, response);
}

}  // namespace nautile::tasks
