#include "train/mixture.h"

#include <cmath>

#include "base/error.h"

namespace nautile::train {

Mixture::Mixture(const std::vector<double>& weights) {
  NAUTILE_CHECK(!weights.empty(), "a mixture of no sources");
  std::vector<double> sums = {0};
  for (const double weight : weights) {
    NAUTILE_CHECK(std::isfinite(weight) && weight > 0, "a weight of {} (expected more than 0)",
                  weight);
    sums.push_back(sums.back() + weight);
  }
  root_ = build(sums, 0, weights.size());
}

std::size_t Mixture::build(const std::vector<double>& sums, std::size_t first, std::size_t last) {
  Node node{.first = first, .last = last};
  if (last - first > 1) {
    const std::size_t middle = (first + last) / 2;
    const double share = (sums[middle] - sums[first]) / (sums[last] - sums[first]);
    node.share = static_cast<std::uint64_t>(std::llround(share * 0x1p32));
    node.left = build(sums, first, middle);
    node.right = build(sums, middle, last);
  }
  nodes_.push_back(node);
  return nodes_.size() - 1;
}

// Grows by 0 or 1 with each draw; half a draw ahead, so that the first goes to the heavier side.
std::uint64_t Mixture::left_of(const Node& node, std::uint64_t draws) {
  const auto product =
      static_cast<unsigned __int128>(draws) * node.share + (std::uint64_t{1} << 31);
  return static_cast<std::uint64_t>(product >> 32);
}

Mixture::Place Mixture::at(std::uint64_t draw) const {
  std::size_t at = root_;
  while (nodes_[at].last - nodes_[at].first > 1) {
    const Node& node = nodes_[at];
    const std::uint64_t before = left_of(node, draw);
    const bool is_left = left_of(node, draw + 1) > before;
    at = is_left ? node.left : node.right;
    draw = is_left ? before : draw - before;
  }
  return {nodes_[at].first, draw};
}

std::uint64_t Mixture::count(std::size_t source, std::uint64_t draws) const {
  std::size_t at = root_;
  while (nodes_[at].last - nodes_[at].first > 1) {
    const Node& node = nodes_[at];
    const std::uint64_t left = left_of(node, draws);
    const bool is_left = source < nodes_[node.left].last;
    draws = is_left ? left : draws - left;
    at = is_left ? node.left : node.right;
  }
  return draws;
}

}  // namespace nautile::train
