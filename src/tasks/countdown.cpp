// countdown.cpp — Countdown problems and the searches that solve them: depth first, with mistakes,
// going back and a check at the end.
#include <algorithm>

#include "tasks/expression.h"
#include "tasks/generators.h"

namespace nautile::tasks {
namespace {

// A number at hand with the expression it came from.
struct Item {
  std::int64_t value;
  std::string text;
  int precedence = 3;  // 1: a sum or difference, 2: a product or quotient, 3: a number
};
using Items = std::vector<Item>;

struct Move {
  std::size_t left, right;  // of the items
  char op;
};

// Bytes of a search. A longer one is drawn again with fewer wrong branches; rows of 320 tokens hold
// the longest with its prompt.
constexpr std::size_t kMostThought = 310;

// Larger values would only lengthen the search: no target is over 100.
constexpr std::int64_t kMostValue = 999;

bool is_legal(std::int64_t a, char op, std::int64_t b) {
  switch (op) {
    case '+':
      return a + b <= kMostValue;
    case '-':
      return a > b;
    case '*':
      return a * b <= kMostValue;
    default:
      return b > 1 && a % b == 0;
  }
}

// What can be done with two of the items: the larger one on the left.
std::vector<Move> moves_of(const Items& items) {
  std::vector<Move> moves;
  for (std::size_t i = 0; i < items.size(); ++i) {
    for (std::size_t k = 0; k < items.size(); ++k) {
      const bool ordered =
          items[i].value != items[k].value ? items[i].value > items[k].value : i < k;
      if (i == k || !ordered) continue;
      for (const char op : {'+', '-', '*', '/'}) {
        if (is_legal(items[i].value, op, items[k].value)) moves.push_back({i, k, op});
      }
    }
  }
  return moves;
}

std::string bracketed(const Item& item, char op, bool is_right) {
  const int mine = op == '+' || op == '-' ? 1 : 2;
  const bool tight = is_right && (op == '-' || op == '/');
  const bool needs = item.precedence < mine || (tight && item.precedence == mine);
  return needs ? "(" + item.text + ")" : item.text;
}

// The items after a move: its result first, then the others in order.
Items after(const Items& items, const Move& move) {
  const Item &a = items[move.left], &b = items[move.right];
  Items rest = {{compute(a.value, move.op, b.value),
                 bracketed(a, move.op, false) + move.op + bracketed(b, move.op, true),
                 move.op == '+' || move.op == '-' ? 1 : 2}};
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i != move.left && i != move.right) rest.push_back(items[i]);
  }
  return rest;
}

bool is_solvable(const Items& items, std::int64_t target) {
  if (items.size() == 1) return items[0].value == target;
  const std::vector<Move> moves = moves_of(items);
  return std::any_of(moves.begin(), moves.end(),
                     [&](const Move& move) { return is_solvable(after(items, move), target); });
}

std::string values_of(const Items& items) {
  std::string text;
  for (const Item& item : items) {
    text += text.empty() ? "" : " ";
    text += std::to_string(item.value);
  }
  return text;
}

// Writes a search as it goes on.
class Search {
 public:
  Search(Draw& draw, std::int64_t target) : draw_(draw), target_(target) {}

  // Branches that fail are shown while `budget` lasts, then passed over.
  Item solve(const Items& items, int budget) {
    budget_ = budget;
    text_ = fmt::format("Make {} from {}.\n", target_, values_of(items));
    Item solution = descend(items);
    text_ += "\n" + verification(items, solution);
    return solution;
  }
  std::string text() const { return text_; }

 private:
  std::string step(const Items& items, const Move& move) {
    return equation(draw_, items[move.left].value, move.op, items[move.right].value);
  }

  // The move and what it leaves; the last moves follow on the same line.
  void branch(const Items& items, const Move& move, const Items& rest) {
    text_ += step(items, move) + " (" + values_of(rest) + (rest.size() > 2 ? "):\n" : "):");
  }

  // `items` are known to reach the target: goes through the moves in random order to the first that
  // does, trying wrong ones on the way.
  Item descend(const Items& items) {
    if (items.size() == 2) return last_step(items);
    std::vector<Move> moves = moves_of(items);
    draw_.shuffle(moves);
    for (const Move& move : moves) {
      const Items rest = after(items, move);
      const bool right = is_solvable(rest, target_);
      if (!right && budget_ <= 0) continue;
      branch(items, move, rest);
      if (right) return descend(rest);
      fail_at(rest);
    }
    NAUTILE_ASSERT(false, "a solvable position has no right move");
    return items[0];
  }

  // A branch that does not reach the target.
  void fail_at(const Items& items) {
    if (items.size() == 2) {
      --budget_;
      for (const Move& move : moves_of(items)) {
        if (draw_.chance(0.02) && mistake(items, move)) continue;
        text_ += " " + step(items, move);
      }
      text_ += " no, back.\n";
      return;
    }
    std::vector<Move> moves = moves_of(items);
    draw_.shuffle(moves);
    const auto shown = static_cast<std::size_t>(draw_.between(1, 2));
    for (std::size_t i = 0; i < moves.size() && i < shown && budget_ > 0; ++i) {
      const Items rest = after(items, moves[i]);
      branch(items, moves[i], rest);
      fail_at(rest);
    }
    text_ += fmt::format("Back before {}.\n", items[0].value);
  }

  // A claim that the check refutes.
  bool mistake(const Items& items, const Move& move) {
    const Item &a = items[move.left], &b = items[move.right];
    const std::int64_t value = compute(a.value, move.op, b.value);
    if (value == target_ || value + 9 < target_ || value > target_ + 9) return false;
    text_ += fmt::format(" {0}{1}{2}={3}? Check: {0}{1}{2}={4}, not {3}.", a.value, move.op,
                         b.value, target_, value);
    return true;
  }

  Item last_step(const Items& items) {
    for (const Move& move : moves_of(items)) {
      const Items rest = after(items, move);
      if (rest[0].value == target_) {
        text_ += fmt::format(" {}{}{}={} yes.", items[move.left].value, move.op,
                             items[move.right].value, target_);
        return rest[0];
      }
      text_ += " " + step(items, move);
    }
    NAUTILE_ASSERT(false, "a solvable position has no right move");
    return items[0];
  }

  // The found expression once more, step by step, and its numbers.
  std::string verification(const Items& items, const Item& solution) const {
    std::string numbers;
    for (const std::int64_t n : parse_expression(solution.text).expression.numbers) {
      numbers += fmt::format("{}{}", numbers.empty() ? "" : " ", n);
    }
    return fmt::format("Check: {}={}. Used {} of {}. Good.", solution.text, target_, numbers,
                       values_of(items));
  }

  Draw& draw_;
  std::int64_t target_;
  int budget_ = 0;
  std::string text_;
};

std::string prompt_of(Draw& draw, const std::vector<std::int64_t>& numbers, std::int64_t target) {
  std::string list;
  for (const std::int64_t n : numbers) list += fmt::format("{}{}", list.empty() ? "" : ", ", n);
  const char* pattern = draw.pick(
      {"Using the numbers {list}, make an expression that equals {target}. Use each number exactly "
       "once, with + - * / and brackets.",
       "Make {target} from {list}. Every number must be used exactly once; + - * / and brackets "
       "are "
       "allowed.",
       "Countdown: reach {target} with {list}, each used once, by + - * / and brackets.",
       "Find an expression with the value {target} that uses each of {list} exactly once (+ - * / "
       "and "
       "brackets)."});
  return fmt::format(fmt::runtime(pattern), fmt::arg("list", list), fmt::arg("target", target));
}

// The value of a random expression of all numbers.
std::int64_t random_value(Draw& draw, Items items) {
  while (items.size() > 1) items = after(items, draw.pick(moves_of(items)));
  return items[0].value;
}

Problem draw_countdown(Draw& draw, int count, std::int64_t most_target, int wrong_branches) {
  for (;;) {
    Problem problem;
    Items items;
    for (int i = 0; i < count; ++i) {
      problem.numbers.push_back(draw.between(1, 20));
      items.push_back({problem.numbers.back(), std::to_string(problem.numbers.back())});
    }
    const std::int64_t target = random_value(draw, items);
    const auto& n = problem.numbers;
    if (target < 10 || target > most_target || std::find(n.begin(), n.end(), target) != n.end()) {
      continue;
    }
    problem.prompt = prompt_of(draw, problem.numbers, target);
    for (auto budget = static_cast<int>(draw.between(0, wrong_branches));;
         budget = std::max(0, budget - 1)) {
      Search search(draw, target);
      problem.answer = search.solve(items, budget).text;
      problem.thought = search.text();
      if (problem.thought.size() <= kMostThought) return problem;
    }
  }
}

}  // namespace

Problem draw_countdown3(Draw& draw) {
  return draw_countdown(draw, 3, 50, 5);
}

Problem draw_countdown4(Draw& draw) {
  return draw_countdown(draw, 4, 100, 4);
}

std::int64_t compute(std::int64_t a, char op, std::int64_t b) {
  switch (op) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    default:
      NAUTILE_ASSERT(op == '/' && b != 0 && a % b == 0, "{}{}{} is no whole number", a, op, b);
      return a / b;
  }
}

std::string equation(Draw& draw, std::int64_t a, char op, std::int64_t b) {
  const std::int64_t value = compute(a, op, b);
  if (!draw.chance(0.02)) return fmt::format("{}{}{}={}", a, op, b, value);
  const std::int64_t slip = value + draw.pick(std::vector<std::int64_t>{-10, -2, -1, 1, 2, 10});
  return fmt::format("{}{}{}={}, no, that is {}", a, op, b, slip, value);
}

}  // namespace nautile::tasks
