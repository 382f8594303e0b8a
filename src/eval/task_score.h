// task_score.h — TaskScore: how many problems of a task are solved, and how sure that is.
#pragma once

#include <cstdint>

namespace nautile::eval {

// A share with its 95 % interval, all in [0, 1].
struct Proportion {
  double value = 0, low = 0, high = 1;
};

// Wilson's score interval (Wilson 1927) for a mean of `count` independent numbers in [0, 1]: exact
// in form for zeros and ones, wider than need be for means of several tries. count 0 gives [0, 1].
Proportion wilson(double mean, std::int64_t count);

// Sums over the problems of one task; a problem is asked `samples` times.
class TaskScore {
 public:
  // What the tries at one problem came to; samples >= 1.
  struct Tries {
    std::int64_t samples = 0, correct = 0, well_formed = 0;
    std::int64_t ended = 0;   // by the model itself, not by a limit
    std::int64_t tokens = 0;  // of all answers
  };
  void add(const Tries& tries);

  std::int64_t problems() const { return problems_; }
  // Mean over problems of the share of right answers.
  Proportion pass_at_1() const;
  // Share of problems with a right answer among the tries.
  Proportion any_correct() const;
  // Of all answers.
  double well_formed() const { return share(sum_.well_formed); }
  double ended() const { return share(sum_.ended); }
  double mean_tokens() const { return share(sum_.tokens); }

 private:
  double share(std::int64_t part) const {
    return sum_.samples > 0 ? static_cast<double>(part) / static_cast<double>(sum_.samples) : 0;
  }

  std::int64_t problems_ = 0, solved_ = 0;
  double pass_rates_ = 0;
  Tries sum_;
};

}  // namespace nautile::eval
