#include "train/gradient_sum.h"

#include <algorithm>
#include <cmath>

namespace nautile::train {
namespace {

// Numbers of parameters that are sent before they are summed: bounds the memory for what arrives.
constexpr std::size_t kBatch = std::size_t{1} << 22;

}  // namespace

StepGradients::StepGradients(const ParamSet& params, Comm& comm)
    : params_(params), layout_(params.layout()), comm_(comm) {
  for (int source = 0; source < layout_.expert_ranks(); ++source) {
    trees_.emplace_back(params,
                        source == 0 ? GradientBuffer::Of::held : GradientBuffer::Of::experts);
  }
  current_.resize(trees_.size());
  if (layout_.ranks() > 1) sum_.resize(params.size());
}

void StepGradients::begin_round() {
  for (std::size_t source = 0; source < trees_.size(); ++source)
    current_[source] = &trees_[source].begin();
}

void StepGradients::end_round(GradientBackend& backend, std::int64_t slots, std::int64_t round) {
  const int group = layout_.group_begin(layout_.rank()), size = layout_.expert_ranks();
  for (int source = 0; source < size; ++source) {
    const SlotRange share = layout_.share(slots, group + (layout_.rank() - group + source) % size);
    if (round < share.size())
      trees_[static_cast<std::size_t>(source)].end(backend, share.begin + round);
  }
}

float* StepGradients::find(ParamId param, std::uint32_t source) {
  return current_[source]->find(params_.params()[param - 1]);
}

std::vector<StepGradients::Node> StepGradients::all_nodes(std::int64_t slots) const {
  std::vector<Node> nodes;
  for (int rank = 0; rank < layout_.ranks(); ++rank) {
    std::size_t place = 0;
    for (const TreeNode& node : nodes_of(layout_.share(slots, rank)))
      nodes.push_back({node, rank, place++});
  }
  return nodes;
}

// A node's sum of a parameter, if it is here.
const float* StepGradients::find_sum(const Param& p, const Node& node) {
  if (layout_.holder(node.rank, p.info, params_.experts()) != layout_.rank()) return nullptr;
  const int size = layout_.expert_ranks();
  const auto source = static_cast<std::size_t>((node.rank - layout_.rank() + size) % size);
  return trees_[p.info.expert < 0 ? 0 : source].sum(node.place).find(p);
}

std::span<const float> StepGradients::total(GradientBackend& backend, std::int64_t slots) {
  const std::vector<Node> nodes = all_nodes(slots);
  NAUTILE_ASSERT(!nodes.empty(), "no slot has run");
  std::vector<TreeNode> plain;
  for (const Node& node : nodes) plain.push_back(node.node);
  const std::vector<TreeAddition> additions = additions_of(plain);
  std::span<const float> total = sum_;
  if (layout_.ranks() == 1) {  // where they lie
    for (const auto& [into, from] : additions) {
      backend.accumulate(trees_[0].sum(from).data().data(),
                         static_cast<std::int64_t>(params_.size()),
                         trees_[0].sum(into).data().data());
    }
    total = trees_[0].sum(0).data();
  } else {
    const std::span<const Param> params = params_.params();
    for (std::size_t begin = 0, end = 0; begin < params.size(); begin = end) {
      std::size_t numbers = 0;
      while (end < params.size() && (end == begin || numbers + params[end].count <= kBatch))
        numbers += params[end++].count;
      sum_batch(backend, params.subspan(begin, end - begin), nodes, additions);
    }
  }
  for (GradientTree& tree : trees_) tree.clear();
  return total;
}

void StepGradients::sum_batch(GradientBackend& backend, std::span<const Param> batch,
                              std::span<const Node> nodes,
                              std::span<const TreeAddition> additions) {
  std::vector<Comm::Send> sends;
  std::vector<Comm::Receive> receives;
  std::size_t needed = 0;
  for (const Param& p : batch) needed += p.owned ? p.count * nodes.size() : 0;
  if (received_.size() < needed) received_.resize(needed);
  // What is owned here is summed in received_, what is here already too: the trees stay as they
  // are.
  float* at = received_.data();
  for (const Param& p : batch) {
    for (const Node& node : nodes) {
      const float* here = find_sum(p, node);
      if (p.owned && here) {
        std::copy_n(here, p.count, at);
      } else if (p.owned) {
        receives.push_back({layout_.holder(node.rank, p.info, params_.experts()),
                            std::as_writable_bytes(std::span(at, p.count))});
      } else if (here) {
        sends.push_back({p.owner, std::as_bytes(std::span(here, p.count))});
      }
      if (p.owned) at += p.count;
    }
  }
  comm_.exchange(sends, receives);
  at = received_.data();
  for (const Param& p : batch) {
    if (!p.owned) continue;
    for (const auto& [into, from] : additions) {
      backend.accumulate(at + from * p.count, static_cast<std::int64_t>(p.count),
                         at + into * p.count);
    }
    std::copy_n(at, p.count, sum_.data() + p.offset);
    at += nodes.size() * p.count;
  }
}

// Parameter by parameter, so that it does not matter who owns which.
double StepGradients::norm(GradientBackend& backend, std::span<const float> total) {
  const std::span<const Param> params = params_.params();
  std::vector<double> mine, all(params.size());
  std::vector<std::size_t> counts(static_cast<std::size_t>(comm_.size()));
  for (const Param& p : params) {
    ++counts[static_cast<std::size_t>(p.owner)];
    if (!p.owned) continue;
    mine.push_back(
        backend.sum_of_squares(total.data() + p.offset, static_cast<std::int64_t>(p.count)));
  }
  std::vector<std::size_t> next(counts.size()), bytes;
  for (std::size_t r = 0, at = 0; r < counts.size(); at += counts[r++]) {
    next[r] = at;
    bytes.push_back(counts[r] * sizeof(double));
  }
  comm_.all_gather(std::as_bytes(std::span(mine)), bytes, std::as_writable_bytes(std::span(all)));
  double sum = 0;
  for (const Param& p : params) sum += all[next[static_cast<std::size_t>(p.owner)]++];
  return std::sqrt(sum);
}

}  // namespace nautile::train
