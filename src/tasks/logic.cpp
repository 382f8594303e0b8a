// logic.cpp — small tasks on lists and orders, solved in the open.
#include <algorithm>
#include <numeric>

#include "tasks/generators.h"
#include "tasks/names.h"

namespace nautile::tasks {
namespace {

using Numbers = std::vector<std::int64_t>;

std::string joined(const Numbers& numbers, const char* between) {
  std::string text;
  for (const std::int64_t n : numbers) text += fmt::format("{}{}", text.empty() ? "" : between, n);
  return text;
}

// Distinct numbers of up to two digits.
Numbers draw_list(Draw& draw, std::int64_t least, std::int64_t most) {
  Numbers list;
  const std::int64_t count = draw.between(least, most);
  while (static_cast<std::int64_t>(list.size()) < count) {
    const std::int64_t n = draw.between(1, 99);
    if (std::find(list.begin(), list.end(), n) == list.end()) list.push_back(n);
  }
  return list;
}

// Takes the smallest (or largest) of what is left, again and again.
Problem sorting(Draw& draw) {
  Problem problem;
  problem.numbers = draw_list(draw, 3, 7);
  const bool up = draw.chance(0.5);
  problem.prompt = fmt::format(
      fmt::runtime(draw.pick(
          {"Sort from {}: {}.", "Put in order from {}: {}.", "Write these numbers from {}: {}."})),
      up ? "smallest to largest" : "largest to smallest", joined(problem.numbers, ", "));
  Numbers left = problem.numbers, done;
  while (!left.empty()) {
    const auto found = up ? std::min_element(left.begin(), left.end())
                          : std::max_element(left.begin(), left.end());
    done.push_back(*found);
    problem.thought +=
        fmt::format("{}: {} {}. ", joined(left, " "), up ? "smallest" : "largest", *found);
    left.erase(found);
  }
  problem.answer = joined(done, ", ");
  problem.thought += "In order: " + problem.answer + ".";
  return problem;
}

Problem extreme(Draw& draw) {
  Problem problem;
  problem.numbers = draw_list(draw, 3, 8);
  const bool largest = draw.chance(0.5);
  problem.prompt = fmt::format("Which of these numbers is the {}: {}?",
                               largest ? "largest" : "smallest", joined(problem.numbers, ", "));
  std::int64_t best = problem.numbers[0];
  problem.thought = fmt::format("Start with {}.", best);
  for (std::size_t i = 1; i < problem.numbers.size(); ++i) {
    const std::int64_t n = problem.numbers[i];
    const bool better = largest ? n > best : n < best;
    if (better) best = n;
    problem.thought += better ? fmt::format(" {}: yes, now {}.", n, n) : fmt::format(" {}: no.", n);
  }
  problem.answer = std::to_string(best);
  return problem;
}

Problem counting(Draw& draw) {
  Problem problem;
  problem.numbers = draw_list(draw, 4, 8);
  const std::int64_t kind = draw.below(4), bound = draw.between(20, 80);
  const char* kinds[] = {"even", "odd", "greater than", "less than"};
  const std::string what = kind < 2 ? kinds[kind] : fmt::format("{} {}", kinds[kind], bound);
  problem.prompt =
      fmt::format("How many of these numbers are {}: {}?", what, joined(problem.numbers, ", "));
  std::int64_t count = 0;
  for (const std::int64_t n : problem.numbers) {
    const bool holds = kind == 0   ? n % 2 == 0
                       : kind == 1 ? n % 2 == 1
                       : kind == 2 ? n > bound
                                   : n < bound;
    if (holds) ++count;
    problem.thought += holds ? fmt::format("{} yes, {}. ", n, count) : fmt::format("{} no. ", n);
  }
  problem.thought += fmt::format("Together {}.", count);
  problem.answer = std::to_string(count);
  return problem;
}

// A chain of comparisons told in any order; who is first, last or in between?
Problem ordering(Draw& draw) {
  const auto count = static_cast<std::size_t>(draw.between(3, 5));
  std::vector<std::int64_t> people(kNames.size());
  std::iota(people.begin(), people.end(), 0);
  draw.shuffle(people);
  people.resize(count);  // from the most to the least
  const auto name = [&](std::size_t i) { return kNames[static_cast<std::size_t>(people[i])]; };
  const std::vector<std::pair<const char*, const char*>> words = {
      {"taller", "shorter"}, {"older", "younger"}, {"faster", "slower"}, {"heavier", "lighter"}};
  const std::vector<std::pair<const char*, const char*>> ends = {{"tallest", "shortest"},
                                                                 {"oldest", "youngest"},
                                                                 {"fastest", "slowest"},
                                                                 {"heaviest", "lightest"}};
  const auto kind = static_cast<std::size_t>(draw.below(4));
  std::vector<std::string> facts;
  for (std::size_t i = 0; i + 1 < count; ++i) {
    facts.push_back(
        draw.chance(0.5)
            ? fmt::format("{} is {} than {}.", name(i), words[kind].first, name(i + 1))
            : fmt::format("{} is {} than {}.", name(i + 1), words[kind].second, name(i)));
  }
  draw.shuffle(facts);
  Problem problem;
  problem.numbers = people;
  for (const std::string& fact : facts) problem.prompt += fact + " ";
  const bool first = draw.chance(0.5);
  problem.prompt += fmt::format("Who is the {}?", first ? ends[kind].first : ends[kind].second);
  for (std::size_t i = 0; i < count; ++i) {
    problem.thought += fmt::format("{}{}", i ? " > " : "", name(i));
  }
  problem.answer = name(first ? 0 : count - 1);
  problem.thought +=
      fmt::format(". The {} is {}.", first ? ends[kind].first : ends[kind].second, problem.answer);
  return problem;
}

// Sequences with equal steps, or that double or triple.
Problem sequence(Draw& draw) {
  Problem problem;
  const bool grows = draw.chance(0.3);
  const std::int64_t start = draw.between(1, grows ? 9 : 40);
  const std::int64_t step = grows ? draw.between(2, 3) : draw.between(2, 15);
  const std::int64_t sign = !grows && draw.chance(0.3) ? -1 : 1;
  Numbers list = {sign < 0 ? start + 6 * step : start};
  for (int i = 0; i < 4; ++i)
    list.push_back(grows ? list.back() * step : list.back() + sign * step);
  problem.numbers = list;
  problem.prompt = fmt::format("What comes next: {}, ...?", joined(list, ", "));
  const char op = grows ? '*' : sign < 0 ? '-' : '+';
  for (std::size_t i = 0; i + 1 < list.size(); ++i) {
    problem.thought += fmt::format("{}{}{}={}. ", list[i], op, step, list[i + 1]);
  }
  problem.answer = std::to_string(compute(list.back(), op, step));
  problem.thought += fmt::format("Next {}{}{}={}.", list.back(), op, step, problem.answer);
  return problem;
}

Problem nth_smallest(Draw& draw) {
  Problem problem;
  problem.numbers = draw_list(draw, 4, 6);
  const std::int64_t rank = draw.between(2, 3);
  problem.prompt = fmt::format("What is the {} smallest of {}?", rank == 2 ? "second" : "third",
                               joined(problem.numbers, ", "));
  Numbers left = problem.numbers;
  for (std::int64_t i = 1; i <= rank; ++i) {
    const auto found = std::min_element(left.begin(), left.end());
    problem.answer = std::to_string(*found);
    problem.thought +=
        fmt::format("{}: smallest {}.{}", joined(left, " "), *found, i < rank ? " " : "");
    left.erase(found);
  }
  return problem;
}

}  // namespace

Problem draw_logic(Draw& draw) {
  constexpr Problem (*kKinds[])(Draw&) = {sorting,  extreme,  counting,
                                          ordering, sequence, nth_smallest};
  return draw.pick(kKinds)(draw);
}

}  // namespace nautile::tasks
