// spike_watch.h — SpikeWatch: whether a loss leaps out of the row of those before it.
#pragma once

#include <cmath>
#include <cstdint>

namespace nautile::train {

// Compares with a mean that fades by a fiftieth a step; the first steps of a run are never spikes.
class SpikeWatch {
 public:
  // 0: only what is no number is one.
  explicit SpikeWatch(double factor = 0) : factor_(factor) {}

  bool leaps(double loss) const {
    return !std::isfinite(loss) || (factor_ > 0 && seen_ >= kSteps && loss > factor_ * mean_);
  }
  void add(double loss) {
    mean_ = seen_ == 0 ? loss : mean_ + (loss - mean_) / kSteps;
    ++seen_;
  }

  double mean() const { return mean_; }
  std::int64_t seen() const { return seen_; }
  void set(double mean, std::int64_t seen) {
    mean_ = mean;
    seen_ = seen;
  }

 private:
  static constexpr int kSteps = 50;
  double factor_, mean_ = 0;
  std::int64_t seen_ = 0;
};

}  // namespace nautile::train
