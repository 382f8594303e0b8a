// Several ranks, as threads of one process, against one: the same bits.
#include <gtest/gtest.h>

#include <mutex>

#include "comm/comm_testing.h"
#include "train/run_testing.h"
#include "train/snapshot.h"

namespace nautile::train {
namespace {

// --- the tree ---

// The sum of slots as text: "((0+1)+2)".
std::string sum_of(const std::vector<std::string>& names, const std::vector<TreeNode>& nodes) {
  std::vector<std::string> texts = names;
  for (const auto& [into, from] : additions_of(nodes))
    texts[into] = "(" + texts[into] + "+" + texts[from] + ")";
  return texts[0];
}

std::string whole(SlotRange range) {
  std::vector<std::string> names;
  std::vector<TreeNode> nodes;
  for (std::int64_t slot = range.begin; slot < range.end; ++slot) {
    names.push_back(std::to_string(slot));
    nodes.push_back({slot, 0});
  }
  return sum_of(names, nodes);
}

TEST(SlotTree, IsTheBinaryCounters) {
  EXPECT_EQ(whole({0, 1}), "0");
  EXPECT_EQ(whole({0, 3}), "((0+1)+2)");
  EXPECT_EQ(whole({0, 7}), "(((0+1)+(2+3))+((4+5)+6))");
  EXPECT_EQ(whole({0, 8}), "(((0+1)+(2+3))+((4+5)+(6+7)))");
}

TEST(SlotTree, IsTheSameForAnyShares) {
  for (std::int64_t slots = 1; slots <= 40; ++slots) {
    for (const int ranks : {1, 2, 3, 4, 5, 8, 50}) {
      const ParallelLayout layout(ranks);
      std::vector<std::string> names;
      std::vector<TreeNode> nodes;
      std::int64_t covered = 0, most = 0;
      for (int rank = 0; rank < ranks; ++rank) {
        const SlotRange share = layout.share(slots, rank);
        EXPECT_EQ(share.begin, covered);
        covered = share.end;
        most = std::max(most, share.size());
        for (const TreeNode& node : nodes_of(share)) {
          nodes.push_back(node);
          // Inside a node the same rule holds from its own begin on.
          names.push_back(whole({node.begin, node.begin + (std::int64_t{1} << node.level)}));
        }
      }
      EXPECT_EQ(covered, slots);
      EXPECT_EQ(most, layout.most_slots(slots));
      EXPECT_EQ(sum_of(names, nodes), whole({0, slots})) << slots << " slots, " << ranks;
    }
  }
}

// --- the layout ---

TEST(ParallelLayout, EveryParameterHasOneOwnerThatHasIt) {
  const ModelConfig config = family_of_hf("deepseek_v3").from_hf(tiny_v3_config());
  for (const auto& [ranks, expert_ranks] :
       {std::pair(1, 1), std::pair(2, 1), std::pair(2, 2), std::pair(6, 3), std::pair(8, 4)}) {
    std::vector<std::int64_t> owned(static_cast<std::size_t>(ranks));
    std::int64_t largest = 0;
    for (int rank = 0; rank < ranks; ++rank) {
      ModelWeights weights(config);
      const ParamSet params(config, weights, Precision::bf16,
                            ParallelLayout(ranks, rank, expert_ranks));
      std::int64_t experts = 0;
      for (const Param& p : params.params()) {
        EXPECT_EQ(p.owned, p.owner == rank);
        EXPECT_TRUE(!p.owned || p.held) << p.info.name;
        EXPECT_EQ(p.held, p.slot->present()) << p.info.name;
        EXPECT_TRUE(p.held || p.info.expert >= 0) << p.info.name;
        experts += p.held && p.info.expert >= 0;
        if (p.owned) owned[static_cast<std::size_t>(rank)] += p.info.shape.elements();
        largest = std::max(largest, p.info.shape.elements());
      }
      EXPECT_EQ(params.size(), static_cast<std::size_t>(owned[static_cast<std::size_t>(rank)]));
      if (8 % expert_ranks == 0) {  // two mixtures
        EXPECT_EQ(experts, 2 * 8 * 3 / expert_ranks);
      }
    }
    const auto [least, most] = std::minmax_element(owned.begin(), owned.end());
    EXPECT_LE(*most - *least, largest) << ranks << " ranks";
  }
}

// --- training ---

// A run's checkpoint files, by name, and what its steps reported.
struct Outcome {
  std::string files, reports;
};

struct Case {
  std::string name;
  Precision precision;
  OptimizerConfig::Kind optimizer;
  MomentFormat moments;
};

std::string read_files(const std::string& folder) {
  std::string all;
  for (const char* name : {kMastersFile, kOptimizerFile, kMeanFile, kStateFile})
    all += read_file(folder + "/" + name);
  return all;
}

void put_report(const StepReport& r, std::string& all) {
  for (const double value : {r.loss, r.mtp_loss, r.balance_loss, r.grad_norm, r.tokens_seen,
                             r.load_max_over_mean, r.sums.main, r.sums.weight})
    all.append(reinterpret_cast<const char*>(&value), sizeof value);
  for (const auto& load : r.sums.loads) {
    for (const std::int64_t count : load) all += std::to_string(count) + " ";
  }
}

TrainerConfig config_of(const Case& c, int expert_ranks) {
  TrainerConfig config = tiny_trainer_config();
  config.precision = c.precision;
  config.optimizer.kind = c.optimizer;
  config.optimizer.moments = c.moments;
  config.expert_ranks = expert_ranks;
  return config;
}

// Steps of 1 to 5 slots, as a growing batch has them: less than there are ranks, too. Goes on from
// `from` if that is not empty; writes the checkpoint to `to`.
Outcome train(const Case& c, int ranks, int expert_ranks, std::int64_t steps,
              const std::string& from, const std::string& to) {
  Outcome outcome;
  run_ranks(ranks, [&](Comm& comm) {
    const TemporaryFolder temporary(fmt::format("parallel_data_{}", comm.rank()));
    const DataFolder data = make_tiny_data(temporary.file("data"));
    TinyRun run(config_of(c, expert_ranks), 1, data, tiny_v3_config(), &comm);
    if (!from.empty()) run.go_on_from(SavedStep::open(from));
    std::string reports;
    for (std::int64_t i = 0; i < steps; ++i) put_report(run.step(5), reports);
    const LossSums held_out = run.trainer.evaluate(run.slots(0, 3));
    reports.append(reinterpret_cast<const char*>(&held_out.main), sizeof held_out.main);
    const Snapshot snapshot(run.trainer, run.state());
    if (!comm.is_root()) return;
    std::filesystem::create_directories(to);
    snapshot.write(to);
    outcome = {read_files(to), std::move(reports)};
  });
  return outcome;
}

class Parallel : public ::testing::TestWithParam<Case> {};

TEST_P(Parallel, AnyNumberOfRanksGivesTheSameBits) {
  const TemporaryFolder temporary("parallel");
  const Outcome one = train(GetParam(), 1, 1, 5, "", temporary.file("one"));
  for (const auto& [ranks, expert_ranks] : {std::pair(3, 1), std::pair(2, 2), std::pair(4, 2)}) {
    const std::string to = temporary.file(fmt::format("{}_{}", ranks, expert_ranks));
    const Outcome several = train(GetParam(), ranks, expert_ranks, 5, "", to);
    EXPECT_TRUE(several.reports == one.reports) << ranks << " ranks, experts over " << expert_ranks;
    EXPECT_TRUE(several.files == one.files) << ranks << " ranks, experts over " << expert_ranks;
  }
}

TEST_P(Parallel, AnyNumberOfRanksGoesOnFromACheckpoint) {
  const TemporaryFolder temporary("reshard");
  const std::string end = temporary.file("whole");
  const Outcome whole = train(GetParam(), 1, 1, 4, "", end);
  const std::string half = temporary.file("half");
  train(GetParam(), 2, 2, 2, "", half);
  for (const auto& [ranks, expert_ranks] : {std::pair(1, 1), std::pair(3, 3)}) {
    const std::string to = temporary.file(fmt::format("from_half_{}", ranks));
    const Outcome rest = train(GetParam(), ranks, expert_ranks, 2, half, to);
    EXPECT_TRUE(rest.files == whole.files) << ranks << " ranks, experts over " << expert_ranks;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Cases, Parallel,
    ::testing::Values(
        Case{"f32", Precision::f32, OptimizerConfig::Kind::adamw, MomentFormat::f32},
        Case{"bf16", Precision::bf16, OptimizerConfig::Kind::adamw, MomentFormat::bf16},
        Case{"fp8", Precision::fp8, OptimizerConfig::Kind::adamw, MomentFormat::bf16},
        Case{"muon", Precision::bf16, OptimizerConfig::Kind::muon, MomentFormat::bf16}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace nautile::train
