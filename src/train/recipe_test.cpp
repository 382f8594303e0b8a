// Recipes: what they mean, where each value comes from, and what is said of mistakes.
#include "train/recipe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace nautile::train {
namespace {

constexpr const char* kModel = R"([model]
vocab_size = 384
hidden_size = 128
num_hidden_layers = 2
num_attention_heads = 4
qk_nope_head_dim = 16
qk_rope_head_dim = 16
v_head_dim = 16
q_lora_rank = 48
kv_lora_rank = 32
intermediate_size = 352
n_routed_experts = 8
num_experts_per_tok = 2
moe_intermediate_size = 64
)";

Recipe parse(const std::string& more, const std::vector<std::string>& sets = {}) {
  return parse_recipe(kModel + more, "folder/r.toml", sets);
}

std::string error_of(const std::string& text, const std::vector<std::string>& sets = {}) {
  try {
    parse_recipe(text, "folder/r.toml", sets);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

#define EXPECT_SAYS(text, part) EXPECT_NE((text).find(part), std::string::npos) << (text)

const EffectiveValue* find(const Recipe& recipe, const std::string& key) {
  const auto at = std::find_if(recipe.effective.begin(), recipe.effective.end(),
                               [&](const EffectiveValue& value) { return value.key == key; });
  return at == recipe.effective.end() ? nullptr : &*at;
}

TEST(Recipe, DefaultsAreTheReports) {
  const Recipe recipe = parse("");
  const OptimizerConfig& o = recipe.trainer.optimizer;
  EXPECT_EQ(o.beta1, 0.9);
  EXPECT_EQ(o.beta2, 0.95);
  EXPECT_EQ(o.decay, 0.1);
  EXPECT_EQ(o.clip, 1.0);
  EXPECT_EQ(o.moments, MomentFormat::bf16);
  EXPECT_EQ(recipe.data.options.seq_len, 4096);
  EXPECT_EQ(recipe.data.options.attend, Attend::row);
  EXPECT_EQ(recipe.data.fim_rate, 0.1);
  EXPECT_EQ(recipe.init_std, 0.006);
  EXPECT_EQ(recipe.trainer.schedule.peak_rate, 2.2e-4);
  EXPECT_EQ(recipe.model.mtp_layers, 1);
  EXPECT_EQ(recipe.model.moe.bias, MoeConfig::RouterBias::yes);
  EXPECT_TRUE(recipe.notices.empty()) << recipe.notices.front();
}

TEST(Recipe, EveryValueHasASource) {
  const Recipe recipe =
      parse("[optimizer]\nclip = 2\n[data]\nseq_len = 64\n", {"train.seed=7", "data.seq_len=128"});
  for (const EffectiveValue& value : recipe.effective) {
    EXPECT_FALSE(value.origin.empty()) << value.key;
    EXPECT_EQ(std::count_if(recipe.effective.begin(), recipe.effective.end(),
                            [&](const auto& other) { return other.key == value.key; }),
              1)
        << value.key;
  }
  EXPECT_EQ(find(recipe, "optimizer.clip")->origin, "recipe");
  EXPECT_EQ(find(recipe, "optimizer.beta2")->origin, "DeepSeek-V3 report §4.2");
  EXPECT_EQ(find(recipe, "optimizer.epsilon")->origin, "not published: PyTorch's default");
  EXPECT_EQ(find(recipe, "data.seq_len")->origin, "--set");
  EXPECT_EQ(recipe.data.options.seq_len, 128);
  EXPECT_EQ(recipe.model_seed, 7u);
  EXPECT_EQ(recipe.data.options.seed, 7u);
}

// What is printed and saved is a recipe that means the same.
TEST(Recipe, ItsTextMeansTheSame) {
  const Recipe first = parse(
      "[schedule]\nkind = \"wsd\"\nmtp_lambda = [[0.5, 0.3], [1.0, 0]]\n[data]\nfolder = \"d\"\n"
      "[data.weights]\na-b = 0.5\n[samples]\nprompts = [\"x \\\"y\\\"\"]\n");
  const Recipe second = parse_recipe(recipe_text(first.effective), "elsewhere/r.toml");
  EXPECT_EQ(recipe_text(first.effective).substr(0, 7), "[model]");
  for (const RecipeDifference& difference : differences(second, first))
    ADD_FAILURE() << difference.text;
  EXPECT_EQ(second.data.options.weights.at("a-b"), 0.5);
  const Recipe other = parse("[optimizer]\nclip = 3\n");
  EXPECT_EQ(differences(other, parse(""))[0].text, "optimizer.clip: 3.0, was 1.0");
}

TEST(Recipe, MistakesAreNamed) {
  const std::string model = kModel;
  EXPECT_SAYS(error_of(model + "[train]\nstesp = 3\n"),
              "folder/r.toml, line 16: there is no 'train.stesp' in a recipe");
  EXPECT_SAYS(error_of(model + "[train]\nstesp = 3\n"), "did you mean 'train.steps'?");
  EXPECT_SAYS(error_of(model + "[trian]\nsteps = 3\n"), "did you mean 'train.'?");
  EXPECT_SAYS(error_of(model, {"train.stesp=3"}), "--set train.stesp: there is no");
  EXPECT_SAYS(error_of(model, {"steps=3"}), "expected TABLE.KEY=VALUE");
  EXPECT_SAYS(error_of(model, {"train.steps"}), "expected TABLE.KEY=VALUE");
  EXPECT_SAYS(error_of(model + "[train]\nsteps = \"three\"\n"), "expected a whole number");
  EXPECT_SAYS(error_of(model + "[train]\nsteps = 1.5\n"), "expected a whole number");
  EXPECT_SAYS(error_of(model + "[optimizer]\nbeta1 = 1.5\n"), "optimizer.beta1 is 1.5 (expected 0");
  EXPECT_SAYS(error_of(model + "[train]\nprecision = \"fp16\"\n"), "did you mean");
  EXPECT_SAYS(error_of(model + "[data]\npacking = true\n"), "expected text");
  EXPECT_SAYS(error_of(model + "[data]\nseq_len = 1979-05-27\n"), "dates and times");
  EXPECT_SAYS(error_of(model + "[train\n"), "folder/r.toml, line 15");
  EXPECT_SAYS(error_of("seed = 1\n" + model), "stands in no table");
  EXPECT_SAYS(error_of("[train]\nsteps = 3\n"), "model.vocab_size, model.hidden_size");
  EXPECT_SAYS(error_of("[model]\nconfig = \"none.json\"\n"), "folder/none.json");
  EXPECT_SAYS(error_of("[model]\nfrom = \"none\"\n"), "there is no model in");
  EXPECT_SAYS(error_of(model + "[train]\nslots = 3\nslot_rows = 2\nbatch_tokens = 8192\n"),
              "is not train.batch_tokens");
  EXPECT_SAYS(error_of(model, {"model.num_nextn_predict_layers=2"}), "one prediction module");
  EXPECT_SAYS(error_of(model, {"model.max_position_embeddings=100"}),
              "for a model of 100 positions");
  EXPECT_SAYS(error_of(model, {"model.n_routed_experts=\"eight\""}), "n_routed_experts");
  EXPECT_SAYS(error_of(model, {"model.model_type=gpt2"}), "gpt2");
}

TEST(Recipe, ScheduleMistakesAreNamed) {
  const auto say = [](const std::string& schedule) {
    return error_of(std::string(kModel) + "[schedule]\n" + schedule);
  };
  EXPECT_SAYS(say("mtp_lambda = [[0.5, 0.1], [0.4, 0]]"), "a share of 0.4 after 0.5");
  EXPECT_SAYS(say("mtp_lambda = [0.5, 0.1]"), "expected [share, value]");
  EXPECT_SAYS(say("mtp_lambda = \"0.3\""), "neither a number nor a list");
  EXPECT_SAYS(say("bias_gamma = -1"), "is -1 (expected 0 to 1000)");
  EXPECT_SAYS(say("kind = \"phases\""), "no list of phases");
  EXPECT_SAYS(say("kind = \"phases\"\nphases = [{ shape = \"cosin\", share = 1, end_rate = 0 }]"),
              "needs a shape");
  EXPECT_SAYS(say("kind = \"phases\"\nphases = [{ shape = \"cosine\", share = 2, end_rate = 0 }]"),
              "needs a share");
  EXPECT_SAYS(say("kind = \"phases\"\nphases = [{ shape = \"linear\", share = 0.7, end_rate = 0 }, "
                  "{ shape = \"linear\", share = 0.7, end_rate = 0 }]"),
              "shares that sum to 1.4");
  // Keys of another kind of schedule are not silently left out.
  EXPECT_SAYS(say("kind = \"deepseek-v3\"\ndecay_share = 0.5"),
              "there is no 'schedule.decay_share'");
}

TEST(Recipe, LossesThatAreOffAreSaid) {
  const auto notices = [](const std::vector<std::string>& sets) {
    std::string all;
    for (const std::string& notice : parse("", sets).notices) all += notice + "\n";
    return all;
  };
  EXPECT_EQ(notices({}), "");
  EXPECT_SAYS(notices({"schedule.mtp_lambda=0"}), "schedule.mtp_lambda is 0");
  EXPECT_SAYS(notices({"schedule.balance_alpha=0"}), "schedule.balance_alpha is 0");
  EXPECT_SAYS(notices({"schedule.bias_gamma=0"}), "schedule.bias_gamma is 0");
  EXPECT_SAYS(notices({"model.num_nextn_predict_layers=0"}), "no MTP loss");
  EXPECT_SAYS(notices({"model.topk_method=greedy"}), "schedule.bias_gamma is not used");
  EXPECT_SAYS(notices({"schedule.warmup_steps=1000000"}), "longer than the run");
  EXPECT_SAYS(notices({"data.seq_len=4096", "train.batch_tokens=20480"}),
              "a step has 24576 tokens, not 20480 (train.batch_tokens): 3 slots of 2 rows of 4096");
  EXPECT_EQ(notices({"data.seq_len=4096", "train.batch_tokens=24576"}), "");
}

TEST(Recipe, BatchesInRowsAndSlots) {
  Recipe recipe = parse("[data]\nseq_len = 256\n[train]\nbatch_tokens = 8192\nslots = 4\n");
  EXPECT_EQ(recipe.slot_rows, 8);
  EXPECT_EQ(recipe.slots_at(0), 4);
  recipe = parse("[data]\nseq_len = 256\n[train]\nbatch_tokens = 65536\n");
  EXPECT_EQ(recipe.slot_rows, 32);  // 8,192 tokens
  EXPECT_EQ(recipe.slots, 8);
  recipe = parse(
      "[data]\nseq_len = 256\n[train]\nbatch_tokens = 65536\ntokens = 1e6\n"
      "[schedule]\nbatch_from = 16384\nbatch_ramp_tokens = 400_000\n");
  EXPECT_EQ(recipe.slots_at(0), 2);
  EXPECT_EQ(recipe.slots_at(200'000), 5);
  EXPECT_EQ(recipe.slots_at(400'000), 8);
  recipe = parse("[data]\nseq_len = 256\n[train]\nsteps = 10\nbatch_tokens = 1024\n");
  EXPECT_EQ(recipe.tokens, 10240);
}

// The published run: rates, λ and γ at tokens where the report names them.
TEST(Recipe, DeepSeekV3AsPublished) {
  std::ifstream file("recipes/deepseek-v3.toml");
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  ASSERT_FALSE(text.empty());
  const Recipe recipe = parse_recipe(text, "recipes/deepseek-v3.toml");
  const Schedule schedule(recipe.trainer.schedule);
  EXPECT_NEAR(schedule.at(0, 0).rate, 2.2e-4 / 2000, 1e-12);
  EXPECT_NEAR(schedule.at(999, 1e10).rate, 1.1e-4, 1e-12);
  EXPECT_NEAR(schedule.at(500'000, 9.99e12).rate, 2.2e-4, 1e-12);
  EXPECT_NEAR(schedule.at(500'000, 12.15e12).rate, (2.2e-4 + 2.2e-5) / 2, 1e-9);  // half the cosine
  EXPECT_NEAR(schedule.at(500'000, 14.5e12).rate, 2.2e-5, 1e-12);
  EXPECT_NEAR(schedule.at(500'000, 14.7e12).rate, 7.3e-6, 1e-12);
  EXPECT_EQ(schedule.at(500'000, 9.9e12).mtp_lambda, 0.3);
  EXPECT_EQ(schedule.at(500'000, 10.1e12).mtp_lambda, 0.1);
  EXPECT_EQ(schedule.at(500'000, 14.2e12).bias_gamma, 0.001);
  EXPECT_EQ(schedule.at(500'000, 14.4e12).bias_gamma, 0.0);
  EXPECT_EQ(schedule.at(500'000, 14.4e12).balance_alpha, 1e-4);
  EXPECT_EQ(schedule.batch_tokens(0), 3072 * 4096.0);
  EXPECT_EQ(schedule.batch_tokens(469e9), 15360 * 4096.0);
}

TEST(Recipe, OtherSchedules) {
  const Recipe wsd = parse(
      "[train]\ntokens = 1e6\n[schedule]\nkind = \"wsd\"\npeak_rate = 1e-3\ndecay_share = 0.2\n"
      "end_rate = 1e-4\nwarmup_steps = 4\n");
  const Schedule s(wsd.trainer.schedule);
  EXPECT_NEAR(s.at(1, 0).rate, 5e-4, 1e-12);
  EXPECT_NEAR(s.at(100, 7.9e5).rate, 1e-3, 1e-12);
  EXPECT_NEAR(s.at(100, 8.5e5).rate, 1e-4 + 9e-4 * 0.5, 1e-9);  // 1 − √0.25
  const Recipe own = parse(
      "[train]\ntokens = 1e6\n[schedule]\nkind = \"phases\"\npeak_rate = 1e-3\nwarmup_steps = 0\n"
      "phases = [{ shape = \"constant\", share = 0.5, end_rate = 1e-3 }, "
      "{ shape = \"linear\", share = 0.5, end_rate = 0 }]\n");
  EXPECT_NEAR(Schedule(own.trainer.schedule).at(9, 7.5e5).rate, 5e-4, 1e-12);
  // Of a run of so many steps it ends with them, however full its rows are.
  const Recipe steps = parse(
      "[train]\nsteps = 100\n[schedule]\nkind = \"wsd\"\npeak_rate = 1e-3\ndecay_share = 0.2\n"
      "end_rate = 1e-4\nwarmup_steps = 4\n");
  const Schedule counted(steps.trainer.schedule);
  EXPECT_NEAR(counted.at(79, 10).rate, 1e-3, 1e-12);
  EXPECT_NEAR(counted.at(85, 10).rate, 1e-4 + 9e-4 * 0.5, 1e-9);
  EXPECT_EQ(counted.at(99, 10).bias_gamma, 0);
}

TEST(Recipe, ContinuesFromACheckpoint) {
  const std::string from = "tests/data/oracle/deepseek_v3";
  if (!std::filesystem::exists(from)) GTEST_SKIP() << from;
  const Recipe recipe = parse_recipe("[data]\nseq_len = 64\n", "r.toml",
                                     {"model.from=" + from,
                                      "model.rope_scaling={ type = \"yarn\", factor = 8, "
                                      "original_max_position_embeddings = 64 }",
                                      "model.max_position_embeddings=512"});
  EXPECT_EQ(recipe.model.rope.scaling, RopeConfig::Scaling::yarn);
  EXPECT_EQ(recipe.model.context, 512);
  EXPECT_EQ(find(recipe, "model.hidden_size")->origin, "config.json of model.from");
  // A run that goes on has the config in its checkpoint, and what it began with may be gone.
  const Recipe resumed = parse_recipe("[data]\nseq_len = 64\n", "r.toml", {"model.from=gone"},
                                      {.resumed_config = recipe.hf_config.dump()});
  EXPECT_EQ(resumed.hf_config, recipe.hf_config);
}

}  // namespace
}  // namespace nautile::train
