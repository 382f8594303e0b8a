// gradient_tree.h — GradientTree: sums the gradients of slots in a row, as far as their tree
// allows.
#pragma once

#include <memory>
#include <vector>

#include "base/error.h"
#include "train/param_set.h"
#include "train/slot_tree.h"

namespace nautile::train {

// Slots come in ascending order; see slot_tree.h.
class GradientTree {
 public:
  GradientTree(const ParamSet& params, GradientBuffer::Of of) : params_(params), of_(of) {}

  // An empty buffer for the next slot.
  GradientBuffer& begin() {
    if (!current_ && spare_.empty())
      spare_.push_back(std::make_unique<GradientBuffer>(params_, of_));
    if (!current_) {
      current_ = std::move(spare_.back());
      spare_.pop_back();
    }
    current_->clear();
    return *current_;
  }
  // Its slot has run. Without it the buffer of begin() counts for nothing.
  void end(GradientBackend& backend, std::int64_t slot) {
    sums_.push_back({{slot, 0}, std::move(current_)});
    while (sums_.size() > 1 && carries(sums_[sums_.size() - 2].node, sums_.back().node)) {
      Sum right = std::move(sums_.back());
      sums_.pop_back();
      const std::span<float> from = right.buffer->data();
      backend.accumulate(from.data(), static_cast<std::int64_t>(from.size()),
                         sums_.back().buffer->data().data());
      ++sums_.back().node.level;
      spare_.push_back(std::move(right.buffer));
    }
  }

  // What nodes_of() says of the slots that have run.
  std::size_t size() const { return sums_.size(); }
  GradientBuffer& sum(std::size_t i) { return *sums_[i].buffer; }
  // Ready for another step; the buffers are used again.
  void clear() {
    for (Sum& sum : sums_) spare_.push_back(std::move(sum.buffer));
    sums_.clear();
  }

 private:
  struct Sum {
    TreeNode node;
    std::unique_ptr<GradientBuffer> buffer;
  };
  const ParamSet& params_;
  GradientBuffer::Of of_;
  std::vector<Sum> sums_;
  std::vector<std::unique_ptr<GradientBuffer>> spare_;
  std::unique_ptr<GradientBuffer> current_;
};

}  // namespace nautile::train
