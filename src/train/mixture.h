// mixture.h — Mixture: which source the n-th draw is from, in the wished shares, without state.
#pragma once

#include <cstdint>
#include <vector>

namespace nautile::train {

// Sources by weight, spread evenly: among the first n draws source s has n·weight within a few.
class Mixture {
 public:
  struct Place {
    std::size_t source;
    std::uint64_t index;  // how many draws of this source were before
  };

  // Weights are positive; their sum need not be 1. Throws Error(bad_input) otherwise.
  explicit Mixture(const std::vector<double>& weights);

  Place at(std::uint64_t draw) const;
  // How many of the first `draws` are from a source.
  std::uint64_t count(std::size_t source, std::uint64_t draws) const;

 private:
  // A binary tree in an array; a node hands each of its draws to one of its children.
  struct Node {
    std::size_t first, last;  // sources [first, last)
    std::size_t left = 0, right = 0;
    std::uint64_t share = 0;  // of the left child, in 2^-32
  };
  std::size_t build(const std::vector<double>& sums, std::size_t first, std::size_t last);
  static std::uint64_t left_of(const Node& node, std::uint64_t draws);

  std::vector<Node> nodes_;
  std::size_t root_ = 0;
};

}  // namespace nautile::train
