// Work and memory of a config that is counted by hand, and of DeepSeek-V3.
#include "train/cost.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

namespace nautile::train {
namespace {

// One dense block and one with 4 experts of which 2 are chosen, and a prediction module.
constexpr const char* kRecipe = R"([model]
vocab_size = 100
hidden_size = 16
num_hidden_layers = 2
num_attention_heads = 2
qk_nope_head_dim = 4
qk_rope_head_dim = 2
v_head_dim = 3
q_lora_rank = 5
kv_lora_rank = 7
intermediate_size = 20
n_routed_experts = 4
num_experts_per_tok = 2
moe_intermediate_size = 6
[data]
seq_len = 8
[train]
tokens = 1000
batch_tokens = 64
slots = 4
precision = "bf16"
)";

// q: 16→5→2·6; kv: 16→7+2, 7→2·(4+3); output 2·3→16.
constexpr double kAttention = 16 * 5 + 5 * 12 + 16 * 9 + 7 * 14 + 6 * 16;
constexpr double kDense = 3 * 16 * 20;
constexpr double kExpert = 3 * 16 * 6;
constexpr double kMoe = 16 * 4 + 2 * kExpert + kExpert;  // router, two chosen, the shared one
constexpr double kHead = 100 * 16;
constexpr double kPair = 2 * (6 + 3);  // per layer: 2 heads of 6 and 3

TEST(Cost, FlopsCountedByHand) {
  const Recipe recipe = parse_recipe(kRecipe, "r.toml");
  const TrainingFlops flops = training_flops(recipe.model);
  EXPECT_EQ(flops.per_token, 3 * 2 * (2 * kAttention + kDense + kMoe + kHead));
  EXPECT_EQ(flops.per_pair, 3 * 2 * 2 * kPair);
  EXPECT_EQ(flops.mtp_per_token, 3 * 2 * (2 * 16 * 16 + kAttention + kMoe + kHead));
  EXPECT_EQ(flops.mtp_per_pair, 3 * 2 * kPair);
  // Two spans of 3 and 1 tokens: 6 + 1 pairs; the module sees 2 tokens and 3 pairs.
  TokenBatch batch;
  batch.tokens = {1, 2, 3, 4};
  batch.starts = {0, 3, 4};
  EXPECT_EQ(flops.of(batch, TrainingFlops::Mtp::off), 4 * flops.per_token + 7 * flops.per_pair);
  EXPECT_EQ(
      flops.of(batch, TrainingFlops::Mtp::on),
      4 * flops.per_token + 7 * flops.per_pair + 2 * flops.mtp_per_token + 3 * flops.mtp_per_pair);
  // The mean over a span is the span's work over its tokens.
  batch.starts = {0, 4};
  EXPECT_NEAR(flops.mean_per_token(4, TrainingFlops::Mtp::on),
              flops.of(batch, TrainingFlops::Mtp::on) / 4, 1e-6);
}

TEST(Cost, MemoryCountedByHand) {
  const Recipe recipe = parse_recipe(kRecipe, "r.toml");
  const TrainingMemory m = training_memory(recipe);
  const double gains = 2 * 16 + 5 + 7;  // of a block
  const double moe = 16 * 4 + 5 * kExpert;
  const double matrices = 3 * kAttention + kDense + 2 * moe + 2 * 16 * 16 + 2 * kHead;
  const double vectors = 3 * gains + 16 + 3 * 16;
  EXPECT_EQ(m.masters, 4 * (matrices + vectors));
  EXPECT_EQ(m.copies, 2 * matrices + 4 * vectors);
  EXPECT_EQ(m.moments, 2 * 2 * (matrices + vectors));
  EXPECT_EQ(m.tree_levels, 3);
  EXPECT_EQ(m.gradients, 3 * m.masters);
  EXPECT_EQ(m.mean, 0);
  EXPECT_EQ(m.saving, m.masters + m.moments);
  EXPECT_EQ(training_memory(parse_recipe(kRecipe, "r.toml", {"train.ema_decay=0.99"})).mean,
            m.masters);
}

TEST(Cost, AdaptersAddToWhatBlocksCompute) {
  const auto bytes = [](const std::vector<std::string>& sets) {
    std::vector<std::string> all{"model.from=somewhere"};
    all.insert(all.end(), sets.begin(), sets.end());
    const Recipe shape = parse_recipe(kRecipe, "r.toml");
    return training_memory(
               parse_recipe(kRecipe, "r.toml", all, {.resumed_config = shape.hf_config.dump()}))
        .activations;
  };
  const double none = bytes({});
  // Query (down, up), kv down and output of one block, thrice 5 + 12 + 9 + 16, and rank 4 of each;
  // 16 tokens, and twice the widest block.
  EXPECT_NEAR(bytes({"lora.rank=4", "lora.targets=[\"attention\"]"}) - none,
              4 * 2 * 16 * (3 * (5 + 12 + 9 + 16) + 4 * 4), 1);
  EXPECT_GT(bytes({"lora.rank=4", "lora.targets=[\"attention\", \"experts\"]"}),
            bytes({"lora.rank=4", "lora.targets=[\"attention\"]"}));
}

TEST(Cost, ARampFromTheBatchToTheBatch) {
  const Recipe recipe = parse_recipe(kRecipe, "r.toml", {"schedule.batch_ramp_tokens=500"});
  EXPECT_NEAR(run_cost(recipe, 8, 1e6).steps,
              run_cost(parse_recipe(kRecipe, "r.toml"), 8, 1e6).steps, 1e-9);
}

// Of two processes the first has about half of the masters and moments, and copies of all.
TEST(Cost, MemoryOfSeveralProcesses) {
  const Recipe recipe = parse_recipe(kRecipe, "r.toml"),
               spread = parse_recipe(kRecipe, "r.toml", {"parallel.expert=2"});
  const TrainingMemory one = training_memory(recipe), two = training_memory(recipe, 2),
                       experts = training_memory(spread, 2);
  const double largest = 4 * kHead;
  EXPECT_NEAR(two.masters, one.masters / 2, largest);
  EXPECT_EQ(two.moments, two.masters);  // BF16, two of them
  EXPECT_EQ(two.copies, one.copies);
  EXPECT_EQ(two.tree_levels, 2);
  EXPECT_EQ(two.gradients, 2 * one.masters + two.masters);
  EXPECT_EQ(two.saving, one.saving);
  EXPECT_EQ(two.activations, one.activations);
  // Two mixtures of four experts, each process with two of them.
  EXPECT_EQ(experts.copies, one.copies - 2 * 2 * 2 * kExpert);
  EXPECT_EQ(experts.gradients, 2 * one.masters + experts.masters);
  EXPECT_GT(experts.activations, one.activations);
  EXPECT_EQ(recipe.planned_ranks(1), 1);
  EXPECT_EQ(spread.planned_ranks(1), 2);
  EXPECT_EQ(parse_recipe(kRecipe, "r.toml", {"parallel.data=8"}).planned_ranks(2), 8);
}

TEST(Cost, GradientBuffersAsABinaryCounter) {
  const int expected[] = {1, 2, 2, 3, 3, 3, 3, 4};
  for (int slots = 1; slots <= 8; ++slots)
    EXPECT_EQ(gradient_buffers(slots), expected[slots - 1]) << slots;
}

TEST(Cost, DeepSeekV3AsPublished) {
  std::ifstream file("recipes/deepseek-v3.toml");
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const Recipe recipe = parse_recipe(text, "recipes/deepseek-v3.toml");
  const RunCost cost = run_cost(recipe, 4096, recipe.cost.peak_flops);
  EXPECT_NEAR(cost.device_hours, 2.664e6, 1);  // report, Table 1
  EXPECT_NEAR(cost.dollars, 5.328e6, 1);
  EXPECT_NEAR(cost.hours / 24, 54.2, 0.1);
  // 6·(36.6 G − embedding row) + the module's head and block + attention at 2,048 keys.
  EXPECT_NEAR(cost.flops, 3.858e24, 0.001e24);
  EXPECT_NEAR(cost.mfu, cost.flops / (2.664e6 * 3600 * 1979e12), 1e-9);
  // 469 G tokens at a logarithmic mean of 12.58 M and 62.9 M, the rest at 62.9 M.
  EXPECT_NEAR(cost.steps, 14.331e12 / 62914560 + 469e9 / 50331648 * std::log(5.0), 1);
}

TEST(Cost, TimeFromSpeed) {
  const Recipe recipe = parse_recipe(kRecipe, "r.toml",
                                     {"cost.mfu=0.5", "cost.devices=2", "cost.dollars_per_hour=3"});
  const RunCost cost = run_cost(recipe, 8, 1e6);
  EXPECT_NEAR(cost.device_hours, cost.flops / 5e5 / 3600, 1e-9);
  EXPECT_NEAR(cost.hours, cost.device_hours / 2, 1e-12);
  EXPECT_NEAR(cost.dollars, cost.device_hours * 3, 1e-9);
  EXPECT_EQ(run_cost(recipe, 8, 0).device_hours, 0);
}

}  // namespace
}  // namespace nautile::train
