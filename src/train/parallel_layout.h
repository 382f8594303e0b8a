// parallel_layout.h — ParallelLayout: which rank runs which slots, has which weights and moves
// them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/weights.h"

namespace nautile::train {

// Slots [begin, end) of a step.
struct SlotRange {
  std::int64_t begin = 0, end = 0;
  std::int64_t size() const { return end - begin; }
};

// Data parallel: each rank runs its share of a step's slots. Each parameter is moved by one rank,
// its owner, which alone has its master and its moments (ZeRO-1: Rajbhandari et al. 2020; whole
// parameters, so that Muon sees whole matrices). Expert parallel: `expert_ranks` ranks in a row are
// a group and have the routed experts among them; every other weight is on every rank.
class ParallelLayout {
 public:
  // expert_ranks divides ranks.
  explicit ParallelLayout(int ranks = 1, int rank = 0, int expert_ranks = 1)
      : ranks_(ranks), rank_(rank), expert_ranks_(expert_ranks) {}

  int ranks() const { return ranks_; }
  int rank() const { return rank_; }
  int expert_ranks() const { return expert_ranks_; }
  int group_begin(int rank) const { return rank - rank % expert_ranks_; }

  // In a row and of near-equal size; some ranks have none if there are fewer slots than ranks.
  SlotRange share(std::int64_t slots, int rank) const {
    return {slots * rank / ranks_, slots * (rank + 1) / ranks_};
  }
  SlotRange share(std::int64_t slots) const { return share(slots, rank_); }
  std::int64_t most_slots(std::int64_t slots) const { return (slots + ranks_ - 1) / ranks_; }

  // Whether a rank multiplies by the weight. `experts`: how many the model has in a layer.
  bool has(int rank, const SlotInfo& info, int experts) const {
    return info.expert < 0 || rank % expert_ranks_ == group_index(info.expert, experts);
  }
  // Which rank of the group of `rank` has it, for an expert's; `rank` itself otherwise.
  int holder(int rank, const SlotInfo& info, int experts) const {
    return info.expert < 0 ? rank : group_begin(rank) + group_index(info.expert, experts);
  }
  // The owner of each of these parameters: those of experts first, the largest first, each to the
  // rank that owns least of those that have it. The same on all ranks.
  std::vector<int> owners(std::span<const SlotInfo> params, int experts) const;

 private:
  // As ExpertGroup::begin cuts them.
  int group_index(int expert, int experts) const {
    int index = expert_ranks_ - 1;
    while (expert < static_cast<int>(static_cast<std::int64_t>(experts) * index / expert_ranks_))
      --index;
    return index;
  }

  int ranks_, rank_, expert_ranks_;
};

}  // namespace nautile::train
