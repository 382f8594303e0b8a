// The folder and the GGUF of one seed hold the same values, element by element, in every
// arrangement.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "make_model/gguf_output.h"
#include "make_model/hf_output.h"
#include "make_model/tensors.h"
#include "store/weight_claims.h"

namespace nautile::make_model {
namespace {

using nlohmann::json;
using store::TensorRecord;
using store::WeightStore;
using ::testing::HasSubstr;

json deepseek() {
  return {{"model_type", "deepseek_v3"},
          {"vocab_size", 300},
          {"hidden_size", 64},
          {"num_hidden_layers", 3},
          {"num_attention_heads", 4},
          {"intermediate_size", 96},
          {"q_lora_rank", 40},
          {"kv_lora_rank", 48},
          {"qk_nope_head_dim", 24},
          {"qk_rope_head_dim", 16},
          {"v_head_dim", 32},
          {"n_routed_experts", 6},
          {"n_shared_experts", 2},
          {"num_experts_per_tok", 2},
          {"moe_intermediate_size", 32},
          {"first_k_dense_replace", 1},
          {"num_nextn_predict_layers", 1},
          {"norm_topk_prob", true},
          {"n_group", 2},
          {"topk_group", 1},
          {"bos_token_id", 0},
          {"eos_token_id", 1},
          {"rope_scaling",
           {{"type", "yarn"},
            {"factor", 40},
            {"original_max_position_embeddings", 64},
            {"beta_fast", 32},
            {"beta_slow", 1},
            {"mscale", 1.0},
            {"mscale_all_dim", 1.0}}}};
}

json dense(const char* type) {
  return {{"model_type", type},      {"vocab_size", 300},        {"hidden_size", 64},
          {"num_hidden_layers", 2},  {"num_attention_heads", 4}, {"num_key_value_heads", 2},
          {"intermediate_size", 96}, {"head_dim", 16},           {"rope_theta", 10000},
          {"bos_token_id", 0},       {"eos_token_id", 1}};
}

class MakeModel : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = ::testing::TempDir() + "nautile_make_model_" + std::to_string(::getpid()) + "/";
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  Facts facts(const json& config) {
    write_file_atomic(folder_ + "config.json", config.dump());
    return read_facts(folder_ + "config.json");
  }
  std::string make(const json& config, const std::string& name, Format format, Options options = {},
                   int threads = 2) {
    ThreadPool pool(threads);
    options.out = folder_ + name;
    options.format = format;
    const Facts known = facts(config);
    name.ends_with(".gguf") ? write_gguf(known, options, pool) : write_folder(known, options, pool);
    return options.out;
  }
  std::string folder_;
};

std::vector<float> floats(const WeightStore& store, const std::string& name) {
  const TensorRecord* record = store.find(name);
  if (!record || record->format != Format::f32) {
    ADD_FAILURE() << name << (record ? " is no F32" : " is missing");
    return {};
  }
  std::vector<float> values(record->data.size() / 4);
  std::memcpy(values.data(), record->data.data(), record->data.size());
  return values;
}

void expect_same(const WeightStore& gguf, const std::string& to, const WeightStore& folder,
                 const std::string& from) {
  EXPECT_EQ(floats(gguf, to), floats(folder, from)) << to;
  EXPECT_EQ(gguf.find(to)->shape, folder.find(from)->shape) << to;
}

TEST_F(MakeModel, DeepseekGgufHoldsTheFoldersValues) {
  Options options;
  options.mtp = Mtp::include;
  const WeightStore folder = WeightStore::open(make(deepseek(), "hf", Format::f32));
  const WeightStore gguf = WeightStore::open(make(deepseek(), "m.gguf", Format::f32, options));
  expect_same(gguf, "token_embd.weight", folder, "model.embed_tokens.weight");
  expect_same(gguf, "output.weight", folder, "lm_head.weight");
  expect_same(gguf, "blk.1.attn_q_b.weight", folder, "model.layers.1.self_attn.q_b_proj.weight");
  expect_same(gguf, "blk.0.ffn_down.weight", folder, "model.layers.0.mlp.down_proj.weight");
  expect_same(gguf, "blk.2.ffn_gate_inp.weight", folder, "model.layers.2.mlp.gate.weight");
  expect_same(gguf, "blk.2.ffn_up_shexp.weight", folder,
              "model.layers.2.mlp.shared_experts.up_proj.weight");
  expect_same(gguf, "blk.3.nextn.eh_proj.weight", folder, "model.layers.3.eh_proj.weight");
  EXPECT_EQ(floats(folder, "model.layers.3.shared_head.head.weight"),
            floats(folder, "lm_head.weight"));

  const auto bias = floats(gguf, "blk.2.exp_probs_b.bias");
  EXPECT_LT(*std::min_element(bias.begin(), bias.end()), 0);
  EXPECT_GT(*std::max_element(bias.begin(), bias.end()), 0);

  // kv_b [H·(24 + 32), 48]; k_b [H, 48, 24]; v_b [H, 32, 48].
  const auto kv = floats(folder, "model.layers.1.self_attn.kv_b_proj.weight");
  const auto k = floats(gguf, "blk.1.attn_k_b.weight"), v = floats(gguf, "blk.1.attn_v_b.weight");
  for (std::size_t h = 0; h < 4; ++h) {
    for (std::size_t c = 0; c < 48; ++c) {
      for (std::size_t n = 0; n < 24; ++n)
        ASSERT_EQ(k[(h * 48 + c) * 24 + n], kv[(h * 56 + n) * 48 + c]);
      for (std::size_t n = 0; n < 32; ++n)
        ASSERT_EQ(v[(h * 32 + n) * 48 + c], kv[(h * 56 + 24 + n) * 48 + c]);
    }
  }
  const auto experts = floats(gguf, "blk.2.ffn_down_exps.weight");
  EXPECT_EQ(gguf.find("blk.2.ffn_down_exps.weight")->shape, (Shape{6, 64, 32}));
  for (std::size_t e = 0; e < 6; ++e) {
    const auto one =
        floats(folder, fmt::format("model.layers.2.mlp.experts.{}.down_proj.weight", e));
    ASSERT_TRUE(std::equal(one.begin(), one.end(),
                           experts.begin() + static_cast<std::ptrdiff_t>(e * one.size())));
  }
  EXPECT_EQ(gguf.gguf().u32("deepseek2.block_count"), 4u);
  EXPECT_EQ(gguf.gguf().u32("deepseek2.attention.key_length"), 64u);
  EXPECT_EQ(gguf.gguf().u32("deepseek2.attention.key_length_mla"), 40u);
  EXPECT_EQ(gguf.gguf().f32("deepseek2.rope.scaling.yarn_log_multiplier"), 0.1f);
  EXPECT_EQ(gguf.gguf().strings("tokenizer.ggml.tokens").size(), 300u);
}

TEST_F(MakeModel, LegacyMlaKeepsOneTensor) {
  Options options;
  options.mla = MlaTensors::legacy;
  const WeightStore folder = WeightStore::open(make(deepseek(), "hf", Format::f32));
  const WeightStore gguf = WeightStore::open(make(deepseek(), "m.gguf", Format::f32, options));
  expect_same(gguf, "blk.1.attn_kv_b.weight", folder, "model.layers.1.self_attn.kv_b_proj.weight");
  EXPECT_FALSE(gguf.has("blk.1.attn_k_b.weight"));
  EXPECT_FALSE(gguf.gguf().has("deepseek2.attention.key_length_mla"));
  EXPECT_EQ(gguf.gguf().u32("deepseek2.attention.head_count_kv"), 4u);
  EXPECT_FALSE(gguf.has("blk.3.nextn.eh_proj.weight"));
}

TEST_F(MakeModel, LlamaRowsOfQAndKAreInterleaved) {
  json config = dense("llama");
  config["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", 8},
                            {"low_freq_factor", 1},
                            {"high_freq_factor", 4},
                            {"original_max_position_embeddings", 64}};
  const WeightStore folder = WeightStore::open(make(config, "hf", Format::f32));
  const WeightStore gguf = WeightStore::open(make(config, "m.gguf", Format::f32));
  for (const char* part : {"q", "k"}) {
    const auto from = floats(folder, fmt::format("model.layers.1.self_attn.{}_proj.weight", part));
    const auto to = floats(gguf, fmt::format("blk.1.attn_{}.weight", part));
    const std::size_t heads = from.size() / (16 * 64);
    for (std::size_t h = 0; h < heads; ++h) {
      for (std::size_t half = 0; half < 2; ++half) {
        for (std::size_t i = 0; i < 8; ++i) {
          const auto source =
              from.begin() + static_cast<std::ptrdiff_t>((h * 16 + half * 8 + i) * 64);
          const auto target =
              to.begin() + static_cast<std::ptrdiff_t>((h * 16 + i * 2 + half) * 64);
          ASSERT_TRUE(std::equal(source, source + 64, target)) << part << h << half << i;
        }
      }
    }
  }
  expect_same(gguf, "blk.1.attn_v.weight", folder, "model.layers.1.self_attn.v_proj.weight");
  const auto divisors = floats(gguf, "rope_freqs.weight");
  ASSERT_EQ(divisors.size(), 8u);
  EXPECT_EQ(divisors.front(), 1.0f);
  EXPECT_EQ(divisors.back(), 8.0f);
}

TEST_F(MakeModel, QwenFamilies) {
  const WeightStore qwen2 = WeightStore::open(make(dense("qwen2"), "a.gguf", Format::f32));
  const WeightStore folder = WeightStore::open(make(dense("qwen2"), "hf", Format::f32));
  expect_same(qwen2, "blk.0.attn_q.weight", folder, "model.layers.0.self_attn.q_proj.weight");
  expect_same(qwen2, "blk.0.attn_k.bias", folder, "model.layers.0.self_attn.k_proj.bias");
  json tied = dense("qwen3");
  tied["tie_word_embeddings"] = true;
  const WeightStore qwen3 = WeightStore::open(make(tied, "b.gguf", Format::f32));
  EXPECT_EQ(qwen3.find("blk.0.attn_q_norm.weight")->shape, Shape{16});
  EXPECT_FALSE(qwen3.has("output.weight"));
  json moe = dense("qwen3_moe");
  moe.update({{"num_experts", 4}, {"num_experts_per_tok", 2}, {"moe_intermediate_size", 32}});
  const WeightStore qwen3moe = WeightStore::open(make(moe, "c.gguf", Format::f32));
  EXPECT_EQ(qwen3moe.find("blk.1.ffn_gate_exps.weight")->shape, (Shape{4, 32, 64}));
  moe["decoder_sparse_step"] = 2;
  EXPECT_THROW(make(moe, "d.gguf", Format::f32), Error);
  EXPECT_NO_THROW(make(moe, "mixed", Format::f32));
}

TEST_F(MakeModel, ThreadsDoNotMatter) {
  for (const char* name : {"one.gguf", "three.gguf"})
    make(deepseek(), name, Format::q8_0, {}, name[0] == 'o' ? 1 : 3);
  EXPECT_EQ(read_file(folder_ + "one.gguf"), read_file(folder_ + "three.gguf"));
}

TEST_F(MakeModel, QuantizedRowsFallBackWhereBlocksDoNotFit) {
  const WeightStore gguf = WeightStore::open(make(deepseek(), "m.gguf", Format::q4_k));
  EXPECT_EQ(gguf.find("token_embd.weight")->format, Format::q5_0);      // rows of 64
  EXPECT_EQ(gguf.find("blk.0.attn_q_b.weight")->format, Format::bf16);  // rows of 40
  EXPECT_EQ(gguf.find("output.weight")->format, Format::q8_0);          // Q6_K wanted
  EXPECT_EQ(gguf.find("output_norm.weight")->format, Format::f32);
}

TEST_F(MakeModel, ShardsMakeTheSameModel) {
  Options options;
  options.shard_bytes = 100'000;
  const WeightStore whole = WeightStore::open(make(deepseek(), "whole", Format::bf16));
  const WeightStore cut = WeightStore::open(make(deepseek(), "cut", Format::bf16, options));
  EXPECT_GT(cut.files().size(), 2u);
  ASSERT_EQ(cut.tensors().size(), whole.tensors().size());
  for (const TensorRecord& tensor : whole.tensors()) {
    const TensorRecord* other = cut.find(tensor.name);
    ASSERT_TRUE(other) << tensor.name;
    ASSERT_EQ(std::memcmp(tensor.data.data(), other->data.data(), tensor.data.size()), 0)
        << tensor.name;
  }
}

TEST_F(MakeModel, F8WeightsComeWithScales) {
  json config = deepseek();
  config["quantization_config"] = {{"scale_fmt", "ue8m0"}};
  const std::string path = make(config, "f8", Format::f8_e4m3);
  WeightStore store = WeightStore::open(path);
  store::WeightClaims claims(store);
  const Weight weight = claims.take("model.layers.0.self_attn.q_b_proj.weight", {160, 40});
  ASSERT_EQ(weight.format, Format::f8_e4m3);
  float scales[2];
  std::memcpy(scales, weight.scales, sizeof scales);
  for (float scale : scales) EXPECT_EQ(std::exp2(std::round(std::log2(scale))), scale);
  EXPECT_EQ(store.find("lm_head.weight")->format, Format::bf16);
  EXPECT_EQ(store.find("model.layers.3.eh_proj.weight")->format, Format::bf16);
  EXPECT_EQ(store.folder()->json("config.json")["quantization_config"]["fmt"], "e4m3");
  EXPECT_THROW(make(config, "f8.gguf", Format::f8_e4m3), Error);
  EXPECT_THROW(make(config, "q8", Format::q8_0), Error);
}

TEST_F(MakeModel, RefusesConfigsByTheNameOfTheKey) {
  const auto error = [&](json config, const char* key, const json& value) {
    config[key] = value;
    try {
      facts(config);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_THAT(error(deepseek(), "hidden_size", 0),
              HasSubstr("\"hidden_size\": expected a positive integer"));
  EXPECT_THAT(error(deepseek(), "kv_lora_rank", nullptr), HasSubstr("\"kv_lora_rank\" is missing"));
  EXPECT_THAT(error(deepseek(), "vocab_size", "x"),
              HasSubstr("\"vocab_size\": expected an integer"));
  EXPECT_THAT(error(deepseek(), "vocab_size", 1e18), HasSubstr("\"vocab_size\""));
  EXPECT_THAT(error(deepseek(), "model_type", "gpt2"), HasSubstr("found \"gpt2\""));
  EXPECT_THAT(error(dense("llama"), "attention_bias", true), HasSubstr("attention_bias"));
}

TEST(Values, AreNearlyNormal) {
  Facts facts;
  facts.layers = 1;
  const TensorSpec spec{"x", {1000, 100}, Role::matrix, "x"};
  const auto stream = Values(facts, 7, 0.02).stream(spec);
  double sum = 0, squares = 0;
  std::vector<float> row(100), column(1000);
  for (int r = 0; r < 1000; ++r) {
    stream.row(r, 100, row.data());
    for (float value : row) sum += value, squares += double(value) * double(value);
  }
  EXPECT_NEAR(sum / 1e5, 0, 0.02 * 4 / std::sqrt(1e5));
  EXPECT_NEAR(std::sqrt(squares / 1e5), 0.02, 0.02 * 4 / std::sqrt(2e5));
  stream.column(99, 100, 0, 1000, column.data());
  EXPECT_EQ(column[999], row[99]);
}

}  // namespace
}  // namespace nautile::make_model
