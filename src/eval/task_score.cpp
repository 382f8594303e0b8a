#include "eval/task_score.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace nautile::eval {

Proportion wilson(double mean, std::int64_t count) {
  if (count == 0) return {};
  constexpr double z = 1.959963984540054;  // the normal's 97.5 % quantile
  const auto n = static_cast<double>(count);
  const double center = (mean + z * z / (2 * n)) / (1 + z * z / n);
  const double half = z / (1 + z * z / n) * std::sqrt(mean * (1 - mean) / n + z * z / (4 * n * n));
  return {mean, std::max(0.0, center - half), std::min(1.0, center + half)};
}

void TaskScore::add(const Tries& tries) {
  NAUTILE_ASSERT(tries.samples >= 1 && tries.correct <= tries.samples, "{} of {} right",
                 tries.correct, tries.samples);
  ++problems_;
  solved_ += tries.correct > 0 ? 1 : 0;
  pass_rates_ += static_cast<double>(tries.correct) / static_cast<double>(tries.samples);
  sum_.samples += tries.samples;
  sum_.correct += tries.correct;
  sum_.well_formed += tries.well_formed;
  sum_.ended += tries.ended;
  sum_.tokens += tries.tokens;
}

Proportion TaskScore::pass_at_1() const {
  return wilson(problems_ > 0 ? pass_rates_ / static_cast<double>(problems_) : 0, problems_);
}

Proportion TaskScore::any_correct() const {
  return wilson(problems_ > 0 ? static_cast<double>(solved_) / static_cast<double>(problems_) : 0,
                problems_);
}

}  // namespace nautile::eval
