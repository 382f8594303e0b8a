// task_score_test.cpp — intervals against published values, sums over problems.
#include "eval/task_score.h"

#include <gtest/gtest.h>

namespace nautile::eval {
namespace {

TEST(Wilson, KnownIntervals) {
  // Newcombe 1998, Statistics in Medicine 17, table I: 81/263, 15/148, 0/20, 1/29.
  const struct {
    double part;
    std::int64_t count;
    double low, high;
  } cases[] = {{81, 263, 0.2553, 0.3662},
               {15, 148, 0.0624, 0.1605},
               {0, 20, 0.0000, 0.1611},
               {1, 29, 0.0061, 0.1718}};
  for (const auto& c : cases) {
    const Proportion p = wilson(c.part / static_cast<double>(c.count), c.count);
    EXPECT_NEAR(p.low, c.low, 5e-5);
    EXPECT_NEAR(p.high, c.high, 5e-5);
  }
}

TEST(Wilson, NothingIsKnownOfNoProblem) {
  const Proportion p = wilson(0, 0);
  EXPECT_EQ(p.low, 0);
  EXPECT_EQ(p.high, 1);
}

TEST(TaskScore, CountsProblemsAndTries) {
  TaskScore score;
  score.add({.samples = 4, .correct = 1, .well_formed = 4, .ended = 3, .tokens = 40});
  score.add({.samples = 4, .correct = 0, .well_formed = 2, .ended = 4, .tokens = 80});
  EXPECT_EQ(score.problems(), 2);
  EXPECT_DOUBLE_EQ(score.pass_at_1().value, 0.125);
  EXPECT_DOUBLE_EQ(score.any_correct().value, 0.5);
  EXPECT_DOUBLE_EQ(score.well_formed(), 0.75);
  EXPECT_DOUBLE_EQ(score.ended(), 0.875);
  EXPECT_DOUBLE_EQ(score.mean_tokens(), 15);
}

}  // namespace
}  // namespace nautile::eval
