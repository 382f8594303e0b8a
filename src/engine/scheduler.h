// scheduler.h — Scheduler: who is computed in the next batch, who waits, who makes room.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nautile::engine {

// What the scheduler needs to know of a choice.
struct Candidate {
  int priority = 0;             // the higher goes first
  double served = 0;            // rows its user has had: the lower goes first
  std::uint64_t order = 0;      // of arrival
  std::int64_t known = 0;       // tokens it has
  std::int64_t computed = 0;    // of them, with cached rows
  std::int64_t pages = 0;       // that it holds
  std::uint64_t last_step = 0;  // in which it had a row
  // later: what it needs is being computed for another in this very batch.
  enum class Ready : std::uint8_t { now, later } ready = Ready::now;

  std::int64_t rows_left() const { return known - computed; }
  bool decodes() const { return rows_left() == 1; }
};

struct SchedulerLimits {
  std::int64_t row_budget = 0;             // rows of a batch, at least 2
  std::int64_t prefill_beside_decode = 0;  // of them prompts', while others decode
  std::int64_t page_tokens = 0;
};

// One batch, or whom to preempt before there can be one.
struct StepPlan {
  struct Part {
    std::size_t who = 0;  // of the running
    std::int64_t rows = 0;
    auto operator<=>(const Part&) const = default;
  };
  std::vector<Part> parts;
  std::optional<std::size_t> preempt;  // give its pages back and plan again
};

// Rows that decode come first, so that prompts do not hold up running streams; what they leave of
// the budget goes to prompts, and an eighth of it is prompts' if they cannot decode all at once.
// Where pages are short, the junior gives way: lowest priority, then latest arrival. A junior
// without pages gets fewer rows or none, so the most senior always goes on.
StepPlan plan_step(std::span<const Candidate> running, std::int64_t available_pages,
                   const SchedulerLimits& limits);

// Which of the waiting is admitted next: priority, then its user's share, then arrival.
std::optional<std::size_t> next_to_admit(std::span<const Candidate> waiting);

// Pages that the running will take for the tokens they have and one more.
std::int64_t promised_pages(std::span<const Candidate> running, std::int64_t page_tokens);
inline std::int64_t pages_for(std::int64_t tokens, std::int64_t page_tokens) {
  return (tokens + page_tokens - 1) / page_tokens;
}

// The junior of the running among those of lower priority than `priority`; none if there are none.
std::optional<std::size_t> gives_way_to(std::span<const Candidate> running, int priority);

// How much users have been served, as in "Fairness in Serving Large Language Models" (Sheng et al.
// 2024): a user who comes back starts where the least served of the active stands, so that nobody
// saves up. Remembers users only while that could matter.
class FairShare {
 public:
  void enter(std::string_view user);  // a request of his begins
  void leave(std::string_view user);  // and ends
  void charge(std::string_view user, double rows) { of(user).served += rows; }
  double served(std::string_view user) { return of(user).served; }
  std::size_t users() const { return users_.size(); }

 private:
  struct User {
    double served = 0;
    std::int64_t active = 0;  // requests
  };
  User& of(std::string_view user);
  double least() const;  // of the active

  std::map<std::string, User, std::less<>> users_;
};

}  // namespace nautile::engine
