#include "train/parallel_layout.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <queue>

namespace nautile::train {
namespace {

// Ranks, the one that owns least on top; of equals the lowest.
class Loads {
 public:
  void add(std::int64_t owned, int rank) { heap_.emplace(owned, rank); }
  int take(std::int64_t more) {
    const auto [owned, rank] = heap_.top();
    heap_.pop();
    heap_.emplace(owned + more, rank);
    return rank;
  }

 private:
  using Load = std::pair<std::int64_t, int>;
  std::priority_queue<Load, std::vector<Load>, std::greater<>> heap_;
};

}  // namespace

std::vector<int> ParallelLayout::owners(std::span<const SlotInfo> params, int experts) const {
  std::vector<std::size_t> order(params.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return params[a].shape.elements() > params[b].shape.elements();
  });
  std::vector<int> owners(params.size());
  std::vector<std::int64_t> owned(static_cast<std::size_t>(ranks_));
  const auto give = [&](std::size_t i, Loads& loads) {
    owners[i] = loads.take(params[i].shape.elements());
    owned[static_cast<std::size_t>(owners[i])] += params[i].shape.elements();
  };
  const auto bound = [&](std::size_t i) { return expert_ranks_ > 1 && params[i].expert >= 0; };
  // An expert's are one to a group, at the same place.
  std::map<int, Loads> places;
  for (const std::size_t i : order) {
    if (!bound(i)) continue;
    const int place = holder(0, params[i], experts);
    const auto [at, fresh] = places.try_emplace(place);
    for (int r = place; fresh && r < ranks_; r += expert_ranks_) at->second.add(0, r);
    give(i, at->second);
  }
  Loads all;
  for (int r = 0; r < ranks_; ++r) all.add(owned[static_cast<std::size_t>(r)], r);
  for (const std::size_t i : order) {
    if (!bound(i)) give(i, all);
  }
  return owners;
}

}  // namespace nautile::train
