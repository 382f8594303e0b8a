// tasks_test.cpp — every generated solution is right, the splits are disjoint, checkers are exact.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "tasks/expression.h"
#include "tasks/task.h"

namespace nautile::tasks {
namespace {

std::vector<std::int64_t> sorted(std::vector<std::int64_t> numbers) {
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

// Every equation "a op b=c" of a text; slips are followed by ", no, that is c".
void check_equations(const std::string& text, std::map<bool, int>& seen) {
  for (std::size_t at = text.find('='); at != text.npos; at = text.find('=', at + 1)) {
    std::size_t begin = at, end = at + 1;
    while (begin > 0 &&
           std::string("0123456789+-*/()").find(text[begin - 1]) != std::string::npos) {
      --begin;
    }
    if (end < text.size() && text[end] == '-') ++end;
    while (end < text.size() && std::isdigit(static_cast<unsigned char>(text[end]))) ++end;
    const ParsedExpression left = parse_expression(text.substr(begin, at - begin));
    if (!left.fault.empty() || end == at + 1) continue;  // "-(58-13)=…" and the like
    const std::int64_t right = std::stoll(text.substr(at + 1, end - at - 1));
    const bool equal = left.expression.value == Rational{right, 1};
    ++seen[equal];
    if (equal) continue;
    const std::string next = text.substr(end, 60);
    EXPECT_TRUE(next.starts_with(", no, that is ") || next.starts_with("? Check: "))
        << text.substr(begin, end - begin) << next;
  }
}

TEST(Tasks, EveryGeneratedSolutionIsRight) {
  for (const Task& task : all_tasks()) {
    std::map<bool, int> equations;
    for (const Split split : {Split::train, Split::test}) {
      const std::uint64_t count = split == Split::train ? 2000 : 300;
      for (std::uint64_t i = 0; i < count; ++i) {
        const Problem problem = make_problem(task, 11, split, i);
        const Verdict verdict = check(problem, problem.response());
        ASSERT_TRUE(verdict.correct && verdict.well_formed) << verdict.reason << "\n"
                                                            << problem.prompt << "\n"
                                                            << problem.response();
        check_equations(problem.thought, equations);
        ASSERT_LT(problem.response().size(), 420u) << problem.response();
      }
    }
    EXPECT_GT(equations[true], task.name == "logic" ? 1000 : 3000) << task.name;
    EXPECT_LT(equations[false] * 20, equations[true] + 20) << task.name;
  }
}

TEST(Tasks, TrainAndTestShareNoNumbers) {
  for (const Task& task : all_tasks()) {
    std::set<std::vector<std::int64_t>> train, test;
    for (std::uint64_t i = 0; i < 3000; ++i) {
      train.insert(sorted(make_problem(task, 1, Split::train, i).numbers));
      if (i < 500) test.insert(sorted(make_problem(task, 2, Split::test, i).numbers));
    }
    std::vector<std::vector<std::int64_t>> both;
    std::set_intersection(train.begin(), train.end(), test.begin(), test.end(),
                          std::back_inserter(both));
    EXPECT_TRUE(both.empty()) << task.name;
    EXPECT_GT(test.size(), 50u) << task.name;
  }
}

TEST(Tasks, APureFunctionOfItsPlace) {
  std::set<std::string> prompts;
  for (const Task& task : all_tasks()) {
    const Problem late = make_problem(task, 5, Split::train, 123456789012);
    const Problem again = make_problem(task, 5, Split::train, 123456789012);
    EXPECT_EQ(late.prompt, again.prompt);
    EXPECT_EQ(late.thought, again.thought);
    for (std::uint64_t i = 0; i < 50; ++i) {
      prompts.insert(make_problem(task, 5, Split::train, i).prompt);
      prompts.insert(make_problem(task, 6, Split::train, i).prompt);
    }
  }
  EXPECT_GT(prompts.size(), 480u);
}

// What the generators promise of difficulty, seen on 2,000 problems.
TEST(Tasks, CountdownDifficulty) {
  int with_back = 0, refuted = 0;
  std::size_t bytes = 0;
  for (std::uint64_t i = 0; i < 2000; ++i) {
    const Problem p = make_problem(find_task("countdown3"), 3, Split::train, i);
    EXPECT_EQ(p.numbers.size(), 3u);
    const Rational target = parse_expression(p.answer).expression.value;
    EXPECT_TRUE(target.denominator == 1 && target.numerator >= 10 && target.numerator <= 50);
    with_back += p.thought.find("back") != p.thought.npos;
    refuted += p.thought.find("Check: ") != p.thought.rfind("Check: ");
    bytes += p.thought.size();
  }
  RecordProperty("with_back", with_back);
  RecordProperty("mean_bytes", static_cast<int>(bytes / 2000));
  EXPECT_GT(with_back, 1000);
  EXPECT_GT(refuted, 20);
  EXPECT_LT(bytes / 2000, 200u);
}

TEST(Expression, Values) {
  const auto value = [](const char* text) {
    const ParsedExpression p = parse_expression(text);
    EXPECT_EQ(p.fault, "") << text;
    return p.expression.value;
  };
  EXPECT_EQ(value("1+2*3"), (Rational{7, 1}));
  EXPECT_EQ(value(" ( 1 + 2 ) * 3 "), (Rational{9, 1}));
  EXPECT_EQ(value("8/3/2"), (Rational{4, 3}));
  EXPECT_EQ(value("8-3-2"), (Rational{3, 1}));
  EXPECT_EQ(value("8/(3-8/3)"), (Rational{24, 1}));
  EXPECT_EQ(value("2-3*4"), (Rational{-10, 1}));
  EXPECT_EQ(value("((((7))))"), (Rational{7, 1}));
  EXPECT_EQ(parse_expression("3*(4+5)").expression.numbers, (std::vector<std::int64_t>{3, 4, 5}));
}

TEST(Expression, Faults) {
  for (const char* text : {"",
                           " ",
                           "1+",
                           "+1",
                           "-1",
                           "(1",
                           "1)",
                           "()",
                           "1 2",
                           "1++2",
                           "1(2)",
                           "(1)(2)",
                           "2^3",
                           "1.5",
                           "a",
                           "1/0",
                           "1/(2-2)",
                           "1234567890",
                           "999999999*999999999*999999999",
                           "1=1",
                           "\xFF",
                           "(1+2"}) {
    EXPECT_NE(parse_expression(text).fault, "") << text;
  }
  EXPECT_NE(parse_expression(std::string_view("1\0+2", 4)).fault, "");
  EXPECT_NE(parse_expression(std::string(5000, '(')).fault, "");
  EXPECT_NE(parse_expression(std::string(2000, '(')).fault, "");
  EXPECT_EQ(parse_expression(std::string(2000, '(') + "1" + std::string(2000, ')')).fault, "");
}

TEST(Checker, Countdown) {
  const auto verdict = [](const std::string& answer) {
    return check("countdown3", {3, 7, 12}, "(12-7)*3",
                 "<think>x</think><answer>" + answer + "</answer>");
  };
  EXPECT_TRUE(verdict("(12-7)*3").correct);
  EXPECT_TRUE(verdict(" 3 * (12 - 7) ").correct);
  EXPECT_FALSE(verdict("3*5").correct);
  EXPECT_FALSE(verdict("12+3").correct);  // 15, without the 7
  EXPECT_FALSE(verdict("(12-7)*3*3/3").correct);
  EXPECT_FALSE(verdict("15").correct);
  EXPECT_FALSE(verdict("(12-7)*3=15").correct);
  EXPECT_TRUE(verdict("12-7*3").reason.find("-9") != std::string::npos);
  EXPECT_THROW(check("countdown3", {3, 7, 12}, "nonsense", ""), Error);
  EXPECT_THROW(check("chess", {}, "1", ""), Error);
}

TEST(Checker, PlainAnswers) {
  const auto right = [](const std::string& expected, const std::string& given) {
    return check("logic", {1}, expected, "<answer>" + given + "</answer>").correct;
  };
  EXPECT_TRUE(right("12", " 12 ") && right("12", "012") && right("12", "+12") &&
              right("12", "12."));
  EXPECT_TRUE(right("-3", "-3") && right("0", "-0") && right("0", "000"));
  EXPECT_TRUE(right("1, 2, 3", "1 2 3") && right("Anna", "anna"));
  EXPECT_FALSE(right("12", "13") || right("12", "1 2") || right("12", "12 apples") ||
               right("12", ""));
  EXPECT_FALSE(right("1, 2, 3", "3, 2, 1") || right("12", "twelve"));
  EXPECT_TRUE(right("123456789012345678901234567890", "123456789012345678901234567890"));
}

TEST(Checker, Format) {
  const auto formed = [](const char* text) { return check("logic", {1}, "5", text).well_formed; };
  EXPECT_TRUE(formed("<think>a</think><answer>5</answer>"));
  EXPECT_TRUE(formed(" <think>a\n</think>\n<answer>6</answer>\n"));
  EXPECT_FALSE(formed("<answer>5</answer>"));
  EXPECT_FALSE(formed("<think>a</think><answer>5</answer> so"));
  EXPECT_FALSE(formed("<think>a</think> so <answer>5</answer>"));
  EXPECT_FALSE(formed("<think><think>a</think><answer>5</answer>"));
  EXPECT_FALSE(formed("<answer>5</answer><think>a</think>"));
  EXPECT_FALSE(formed(""));
  // The last answer counts, closed or not.
  EXPECT_TRUE(check("logic", {1}, "5", "<answer>4</answer><answer>5</answer>").correct);
  EXPECT_FALSE(check("logic", {1}, "5", "<answer>5</answer><answer>4").correct);
}

}  // namespace
}  // namespace nautile::tasks
