#include "engine/scheduler.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <tuple>

#include "base/error.h"

namespace nautile::engine {
namespace {

// Senior first.
bool senior(const Candidate& a, const Candidate& b) {
  return std::tuple(-a.priority, a.order) < std::tuple(-b.priority, b.order);
}

// Who decodes when not all can: those that have waited longest.
bool decodes_before(const Candidate& a, const Candidate& b) {
  return std::tuple(-a.priority, a.last_step, a.served, a.order) <
         std::tuple(-b.priority, b.last_step, b.served, b.order);
}

bool enters_before(const Candidate& a, const Candidate& b) {
  return std::tuple(-a.priority, a.served, a.order) < std::tuple(-b.priority, b.served, b.order);
}

// Rows as the budget alone would have it: decodes, then prompts.
std::vector<StepPlan::Part> share_rows(std::span<const Candidate> running,
                                       const SchedulerLimits& limits) {
  std::vector<std::size_t> decodes, prefills;
  for (std::size_t i = 0; i < running.size(); ++i) {
    if (running[i].ready != Candidate::Ready::now || running[i].rows_left() < 1) continue;
    (running[i].decodes() ? decodes : prefills).push_back(i);
  }
  const auto by = [&](auto before) {
    return
        [&running, before](std::size_t a, std::size_t b) { return before(running[a], running[b]); };
  };
  const std::int64_t reserved =
      prefills.empty() ? 0 : std::max<std::int64_t>(1, limits.row_budget / 8);
  const auto most = static_cast<std::size_t>(limits.row_budget - reserved);
  if (decodes.size() > most) {
    std::sort(decodes.begin(), decodes.end(), by(decodes_before));
    decodes.resize(most);
  }
  std::sort(prefills.begin(), prefills.end(), by(enters_before));

  std::vector<StepPlan::Part> parts;
  for (const std::size_t who : decodes) parts.push_back({who, 1});
  std::int64_t rest = limits.row_budget - static_cast<std::int64_t>(decodes.size());
  if (!decodes.empty()) rest = std::min(rest, limits.prefill_beside_decode);
  for (const std::size_t who : prefills) {
    if (rest <= 0) break;
    const std::int64_t rows = std::min(rest, running[who].rows_left());
    parts.push_back({who, rows});
    rest -= rows;
  }
  return parts;
}

}  // namespace

StepPlan plan_step(std::span<const Candidate> running, std::int64_t available_pages,
                   const SchedulerLimits& limits) {
  std::vector<StepPlan::Part> parts = share_rows(running, limits);
  std::sort(parts.begin(), parts.end(), [&](const StepPlan::Part& a, const StepPlan::Part& b) {
    return senior(running[a.who], running[b.who]);
  });
  // Who would give way last is asked first; `victim` is the most junior of all that hold pages.
  std::optional<std::size_t> victim;
  for (std::size_t i = 0; i < running.size(); ++i) {
    if (running[i].pages > 0 && (!victim || senior(running[*victim], running[i]))) victim = i;
  }
  StepPlan plan;
  for (StepPlan::Part part : parts) {
    const Candidate& one = running[part.who];
    const std::int64_t needs = pages_for(one.computed + part.rows, limits.page_tokens) - one.pages;
    if (needs > available_pages) {
      if (victim && senior(one, running[*victim])) return {.parts = {}, .preempt = victim};
      part.rows = (one.pages + available_pages) * limits.page_tokens - one.computed;
      if (part.rows <= 0) continue;
    }
    available_pages -= std::max<std::int64_t>(
        0, pages_for(one.computed + part.rows, limits.page_tokens) - one.pages);
    plan.parts.push_back(part);
  }
  return plan;
}

std::optional<std::size_t> next_to_admit(std::span<const Candidate> waiting) {
  std::optional<std::size_t> best;
  for (std::size_t i = 0; i < waiting.size(); ++i) {
    if (!best || enters_before(waiting[i], waiting[*best])) best = i;
  }
  return best;
}

std::int64_t promised_pages(std::span<const Candidate> running, std::int64_t page_tokens) {
  return std::accumulate(
      running.begin(), running.end(), std::int64_t{0}, [&](std::int64_t sum, const Candidate& one) {
        return sum + std::max<std::int64_t>(0, pages_for(one.known + 1, page_tokens) - one.pages);
      });
}

std::optional<std::size_t> gives_way_to(std::span<const Candidate> running, int priority) {
  std::optional<std::size_t> junior;
  for (std::size_t i = 0; i < running.size(); ++i) {
    if (running[i].priority >= priority) continue;
    if (!junior || senior(running[*junior], running[i])) junior = i;
  }
  return junior;
}

FairShare::User& FairShare::of(std::string_view user) {
  const auto found = users_.find(user);
  NAUTILE_ASSERT(found != users_.end(), "a user who has not entered");
  return found->second;
}

double FairShare::least() const {
  double least = std::numeric_limits<double>::infinity();
  for (const auto& [name, user] : users_) {
    if (user.active > 0) least = std::min(least, user.served);
  }
  return least;
}

void FairShare::enter(std::string_view user) {
  auto found = users_.find(user);
  if (found == users_.end()) found = users_.emplace(user, User{}).first;
  if (found->second.active == 0) {
    const double others = least();
    if (others != std::numeric_limits<double>::infinity())
      found->second.served = std::max(found->second.served, others);
  }
  ++found->second.active;
}

// Who stands no higher than the least served of the active would be lifted there anyway.
void FairShare::leave(std::string_view user) {
  if (--of(user).active > 0) return;
  const double others = least();
  std::erase_if(users_, [&](const auto& entry) {
    return entry.second.active == 0 && entry.second.served <= others;
  });
}

}  // namespace nautile::engine
