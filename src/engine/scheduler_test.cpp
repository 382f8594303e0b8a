// scheduler_test.cpp — tables of who is computed, who waits and who gives way.
#include "engine/scheduler.h"

#include <gtest/gtest.h>

namespace nautile::engine {
namespace {

constexpr SchedulerLimits kLimits{.row_budget = 16, .prefill_beside_decode = 6, .page_tokens = 4};

// `left` rows to compute after `computed`, holding the pages for these; order as listed.
struct Case {
  std::int64_t computed, left;
  int priority = 0;
  double served = 0;
  std::uint64_t last_step = 0;
  Candidate::Ready ready = Candidate::Ready::now;
};
std::vector<Candidate> listed(std::initializer_list<Case> cases) {
  std::vector<Candidate> list;
  for (const Case& c : cases) {
    list.push_back({.priority = c.priority,
                    .served = c.served,
                    .order = list.size(),
                    .known = c.computed + c.left,
                    .computed = c.computed,
                    .pages = pages_for(c.computed, 4),
                    .last_step = c.last_step,
                    .ready = c.ready});
  }
  return list;
}

using Parts = std::vector<StepPlan::Part>;
Parts parts_of(const std::vector<Candidate>& running, std::int64_t pages = 1000,
               const SchedulerLimits& limits = kLimits) {
  const StepPlan plan = plan_step(running, pages, limits);
  EXPECT_FALSE(plan.preempt);
  return plan.parts;
}

TEST(Scheduler, GivesAPromptTheWholeBudgetAlone) {
  EXPECT_EQ(parts_of(listed({{0, 40}})), (Parts{{0, 16}}));
  EXPECT_EQ(parts_of(listed({{32, 8}})), (Parts{{0, 8}}));
  EXPECT_EQ(parts_of(listed({{0, 10}, {0, 10}})), (Parts{{0, 10}, {1, 6}}));
}

TEST(Scheduler, DecodesFirstAndLimitsPromptsBesideThem) {
  EXPECT_EQ(parts_of(listed({{0, 40}, {9, 1}, {5, 1}})), (Parts{{0, 6}, {1, 1}, {2, 1}}));
}

TEST(Scheduler, KeepsAnEighthForPromptsWhenNotAllCanDecode) {
  std::vector<Candidate> running = listed({{0, 40}});
  for (std::uint64_t i = 1; i <= 20; ++i) {
    running.push_back({.order = i, .known = 2, .computed = 1, .pages = 1, .last_step = 30 - i});
  }
  const Parts parts = parts_of(running);
  EXPECT_EQ(parts.front(), (StepPlan::Part{0, 2}));
  EXPECT_EQ(parts.size(), 15u);
  // Those that waited longest, 7 to 20.
  EXPECT_EQ(parts[1].who, 7u);
  EXPECT_EQ(parts.back().who, 20u);
  running.erase(running.begin());
  EXPECT_EQ(parts_of(running).size(), 16u);
}

TEST(Scheduler, PromptsGoByPriorityThenShareThenArrival) {
  EXPECT_EQ(parts_of(listed({{0, 20, 0, 5}, {0, 20, 0, 3}, {0, 20, 0, 3}})), (Parts{{1, 16}}));
  EXPECT_EQ(parts_of(listed({{0, 20, 0, 0}, {0, 20, 1, 9}})), (Parts{{1, 16}}));
}

TEST(Scheduler, WhoIsNotReadyWaits) {
  EXPECT_EQ(parts_of(listed({{0, 20}, {0, 8, 2, 0, 0, Candidate::Ready::later}})),
            (Parts{{0, 16}}));
}

TEST(Scheduler, TheJuniorGivesWayWherePagesAreShort) {
  // Each holds one full page and decodes into the next.
  const std::vector<Candidate> running = listed({{4, 1}, {4, 1}, {4, 1}});
  EXPECT_EQ(parts_of(running, 3), (Parts{{0, 1}, {1, 1}, {2, 1}}));
  EXPECT_EQ(plan_step(running, 0, kLimits).preempt, 2u);
  EXPECT_EQ(plan_step(running, 1, kLimits).preempt, 2u);
  // The junior itself takes what is left: nothing.
  EXPECT_EQ(parts_of(running, 2), (Parts{{0, 1}, {1, 1}}));
  // Priority protects.
  EXPECT_EQ(plan_step(listed({{4, 1}, {4, 1}, {4, 1, 1}}), 0, kLimits).preempt, 1u);
}

TEST(Scheduler, AJuniorPromptGetsTheRowsThatFit) {
  EXPECT_EQ(parts_of(listed({{4, 1}, {2, 30}}), 2), (Parts{{0, 1}, {1, 6}}));
  EXPECT_EQ(parts_of(listed({{4, 1}, {2, 30}}), 1), (Parts{{0, 1}, {1, 2}}));
}

TEST(Scheduler, TheMostSeniorAlwaysGoesOn) {
  std::vector<Candidate> running = listed({{7, 1}, {12, 9}, {4, 1}});
  std::int64_t pages = 0;
  for (int round = 0; round < 3; ++round) {
    const StepPlan plan = plan_step(running, pages, kLimits);
    if (!plan.preempt) {
      ASSERT_FALSE(plan.parts.empty());
      EXPECT_EQ(plan.parts[0].who, 0u);
      return;
    }
    ASSERT_NE(*plan.preempt, 0u);
    pages += running[*plan.preempt].pages;
    running.erase(running.begin() + static_cast<std::ptrdiff_t>(*plan.preempt));
  }
  FAIL() << "nobody goes on";
}

TEST(Scheduler, AdmitsByPriorityThenShareThenArrival) {
  EXPECT_EQ(next_to_admit({}), std::nullopt);
  EXPECT_EQ(next_to_admit(listed({{0, 9}, {0, 9}})), 0u);
  EXPECT_EQ(next_to_admit(listed({{0, 9, 0, 7}, {0, 9, 0, 2}, {0, 9, 0, 2}})), 1u);
  EXPECT_EQ(next_to_admit(listed({{0, 9, 0, 0}, {0, 9, 3, 99}})), 1u);
}

TEST(Scheduler, PromisesWhatTheRunningWillTake) {
  EXPECT_EQ(promised_pages(listed({{4, 1}, {0, 8}, {3, 1}}), 4), 1 + 3 + 1);
  EXPECT_EQ(promised_pages({}, 4), 0);
}

TEST(Scheduler, OnlyLowerPriorityGivesWayToANewcomer) {
  const std::vector<Candidate> running = listed({{4, 1, 1}, {4, 1, 0}, {4, 1, 1}});
  EXPECT_EQ(gives_way_to(running, 0), std::nullopt);
  EXPECT_EQ(gives_way_to(running, 1), 1u);
  EXPECT_EQ(gives_way_to(running, 2), 1u);
}

TEST(FairShare, NobodySavesUpAndNobodyIsKept) {
  FairShare share;
  share.enter("a");
  share.charge("a", 100);
  share.enter("b");  // comes to where the least served stands
  EXPECT_EQ(share.served("b"), 100);
  share.charge("b", 50);
  share.enter("b");  // active already
  EXPECT_EQ(share.served("b"), 150);
  share.leave("b");
  share.leave("b");  // above the others: remembered
  EXPECT_EQ(share.users(), 2u);
  share.enter("b");
  EXPECT_EQ(share.served("b"), 150);
  share.charge("a", 100);
  share.leave("b");  // below: forgotten
  EXPECT_EQ(share.users(), 1u);
  share.leave("a");
  EXPECT_EQ(share.users(), 0u);
}

// Two users, one with many waiting: whoever is admitted is charged, so they take turns.
TEST(FairShare, UsersTakeTurns) {
  FairShare share;
  share.enter("many");
  share.enter("few");
  int many = 0, few = 0;
  for (int i = 0; i < 10; ++i) {
    const std::vector<Candidate> waiting = {
        {.served = share.served("many"), .order = 0, .known = 10},
        {.served = share.served("few"), .order = 1, .known = 10}};
    const std::size_t next = *next_to_admit(waiting);
    share.charge(next == 0 ? "many" : "few", 10);
    ++(next == 0 ? many : few);
  }
  EXPECT_EQ(many, 5);
  EXPECT_EQ(few, 5);
}

}  // namespace
}  // namespace nautile::engine
