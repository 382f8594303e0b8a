// slot_tree.h — the binary tree over a step's slots by which their gradients are summed.
//
// Slots are leaves; two neighbours of one size whose left one begins at a multiple of twice that
// size are one sum, as a binary counter carries. What is left at the end is summed from the right.
// The tree depends on the number of slots alone: whoever has a sum may add it, the bits are the
// same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "train/parallel_layout.h"

namespace nautile::train {

// The sum of slots [begin, begin + 2^level).
struct TreeNode {
  std::int64_t begin = 0;
  int level = 0;
};

// Whether `right` and what lies left of it make one node of the tree.
inline bool carries(const TreeNode& left, const TreeNode& right) {
  return left.level == right.level && left.begin % (std::int64_t{2} << left.level) == 0;
}

// What is left of slots [begin, end) when all that carries is summed, in order.
inline std::vector<TreeNode> nodes_of(SlotRange slots) {
  std::vector<TreeNode> nodes;
  for (std::int64_t slot = slots.begin; slot < slots.end; ++slot) {
    nodes.push_back({slot, 0});
    while (nodes.size() > 1 && carries(nodes[nodes.size() - 2], nodes.back())) {
      nodes.pop_back();
      ++nodes.back().level;
    }
  }
  return nodes;
}

// Additions, in order, that leave the sum of all nodes in the first: nodes[into] += nodes[from].
struct TreeAddition {
  std::size_t into = 0, from = 0;
};
inline std::vector<TreeAddition> additions_of(const std::vector<TreeNode>& nodes) {
  struct Open {
    TreeNode node;
    std::size_t at;
  };
  std::vector<Open> open;
  std::vector<TreeAddition> list;
  const auto add_last = [&] {
    list.push_back({open[open.size() - 2].at, open.back().at});
    open.pop_back();
  };
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    open.push_back({nodes[i], i});
    while (open.size() > 1 && carries(open[open.size() - 2].node, open.back().node)) {
      add_last();
      ++open.back().node.level;
    }
  }
  while (open.size() > 1) add_last();
  return list;
}

}  // namespace nautile::train
