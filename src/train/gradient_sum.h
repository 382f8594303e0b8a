// gradient_sum.h — StepGradients: the gradients of a step, of the slots of all ranks.
#pragma once

#include <vector>

#include "comm/comm.h"
#include "ops/context.h"
#include "train/gradient_tree.h"

namespace nautile::train {

// One tree for this rank's slots; where other ranks send rows to its experts, one more for the
// slots of each of them, of these experts alone. So an expert's gradient is summed slot by slot,
// whoever computed it, and the bits do not depend on how many ranks there are.
class StepGradients final : public ParamGradients {
 public:
  StepGradients(const ParamSet& params, Comm& comm);

  // Before and after the ranks run one slot each: the next of their shares.
  void begin_round();
  void end_round(GradientBackend& backend, std::int64_t slots, std::int64_t round);

  // The sum over all slots of what this rank owns, laid out like the masters; until the next round.
  // The ranks call it together.
  std::span<const float> total(GradientBackend& backend, std::int64_t slots);
  // √Σ g², of all parameters: the same bits on all ranks.
  double norm(GradientBackend& backend, std::span<const float> total);

  float* find(ParamId param, std::uint32_t source) override;

 private:
  // A node of the step's tree and the rank whose slots it sums.
  struct Node {
    TreeNode node;
    int rank = 0;
    std::size_t place = 0;  // among the nodes of the rank
  };
  std::vector<Node> all_nodes(std::int64_t slots) const;
  const float* find_sum(const Param& p, const Node& node);
  void sum_batch(GradientBackend& backend, std::span<const Param> batch,
                 std::span<const Node> nodes, std::span<const TreeAddition> additions);

  const ParamSet& params_;
  const ParallelLayout& layout_;
  Comm& comm_;
  std::vector<GradientTree> trees_;       // by source
  std::vector<GradientBuffer*> current_;  // by source
  std::vector<float> sum_;                // of several ranks: of what this one owns
  std::vector<float> received_;
};

}  // namespace nautile::train
