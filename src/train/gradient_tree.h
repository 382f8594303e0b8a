// gradient_tree.h — GradientTree: sums the gradients of micro-batch slots over a fixed binary tree.
#pragma once

#include <vector>

#include "base/error.h"
#include "train/param_set.h"

namespace nautile::train {

// Slots come in ascending order; equal subtrees are added as soon as both are there, as a binary
// counter carries. The tree depends on the number of slots alone, so one process that runs all of
// them and several that run a subtree each give the same bits.
class GradientTree {
 public:
  explicit GradientTree(const ParamSet& params) : params_(params) {}

  // An empty buffer for the next slot.
  GradientBuffer& begin() {
    if (spare_.empty()) spare_.push_back(std::make_unique<GradientBuffer>(params_));
    current_ = std::move(spare_.back());
    spare_.pop_back();
    current_->clear();
    return *current_;
  }

  void end(GradientBackend& backend) {
    std::size_t level = 0;
    for (; level < levels_.size() && levels_[level]; ++level) fold(backend, level);
    if (level == levels_.size()) levels_.emplace_back();
    levels_[level] = std::move(current_);
  }

  // The sum of all slots since the last call; lower subtrees are added to higher ones.
  std::span<float> total(GradientBackend& backend) {
    NAUTILE_ASSERT(!levels_.empty(), "no slot has run");
    for (std::size_t level = 0; level < levels_.size(); ++level) {
      if (!levels_[level]) continue;
      if (current_)
        fold(backend, level);
      else
        current_ = std::move(levels_[level]);
    }
    sum_ = std::move(current_);
    levels_.clear();
    spare_.push_back(std::move(sum_));
    return spare_.back()->data();
  }

 private:
  // current_ = level's + current_
  void fold(GradientBackend& backend, std::size_t level) {
    const std::span<float> other = levels_[level]->data();
    backend.accumulate(current_->data().data(), static_cast<std::int64_t>(other.size()),
                       other.data());
    std::swap(current_, levels_[level]);
    spare_.push_back(std::move(levels_[level]));
  }

  const ParamSet& params_;
  std::vector<std::unique_ptr<GradientBuffer>> levels_, spare_;
  std::unique_ptr<GradientBuffer> current_, sum_;
};

}  // namespace nautile::train
