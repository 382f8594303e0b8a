// batch_builder.h — BatchBuilder: a TokenBatch from pieces of documents, row by row.
#pragma once

#include <utility>

#include "train/dataset.h"
#include "train/units.h"

namespace nautile::train {

// Puts pieces into a batch row by row, then derives positions, spans and targets.
class BatchBuilder {
 public:
  explicit BatchBuilder(Attend attend) : attend_(attend) {
    batch_.starts.push_back(0);
    batch_.rows.push_back(0);
    batch_.documents.push_back(0);
  }

  void piece(const UnitTokens& unit, std::int64_t begin, std::int64_t end) {
    batch_.tokens.insert(batch_.tokens.end(), unit.tokens.begin() + begin,
                         unit.tokens.begin() + end);
    weights_.insert(weights_.end(), unit.weights.begin() + begin, unit.weights.begin() + end);
    batch_.documents.push_back(size());
    if (attend_ == Attend::document) batch_.starts.push_back(size());
  }
  void end_row() {
    batch_.rows.push_back(size());
    if (attend_ == Attend::row) batch_.starts.push_back(size());
  }

  TokenBatch finish() {
    const std::size_t T = batch_.tokens.size();
    batch_.positions.resize(T);
    batch_.targets.assign(T, kNoTarget);
    batch_.targets2.assign(T, kNoTarget);
    batch_.loss_weight.assign(T, 0);
    batch_.loss_weight2.assign(T, 0);
    for (std::size_t span = 0; span + 1 < batch_.starts.size(); ++span) {
      const auto begin = static_cast<std::size_t>(batch_.starts[span]);
      const auto end = static_cast<std::size_t>(batch_.starts[span + 1]);
      for (std::size_t t = begin; t < end; ++t) {
        batch_.positions[t] = static_cast<std::int32_t>(t - begin);
        if (t + 1 < end) {
          batch_.targets[t] = batch_.tokens[t + 1];
          batch_.loss_weight[t] = weights_[t + 1];
        }
        if (t + 2 < end) {
          batch_.targets2[t] = batch_.tokens[t + 2];
          batch_.loss_weight2[t] = weights_[t + 2];
        }
      }
    }
    return std::move(batch_);
  }

 private:
  std::int32_t size() const { return static_cast<std::int32_t>(batch_.tokens.size()); }

  Attend attend_;
  TokenBatch batch_;
  std::vector<float> weights_;
};

}  // namespace nautile::train
