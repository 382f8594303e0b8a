// peft_test.cpp — adapters written, read, merged and refused.
#include "model/peft.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "base/error.h"
#include "base/file.h"
#include "model/family.h"
#include "store/safetensors_writer.h"

namespace nautile {
namespace {

namespace fs = std::filesystem;

ModelConfig tiny(const char* family) {
  return family_of_hf(family).from_hf(nlohmann::json::parse(fmt::format(
      R"({{"model_type": "{}", "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1,
          "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 32,
          "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
          "tie_word_embeddings": true}})",
      family)));
}

class Peft : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = (fs::temp_directory_path() / fmt::format("nautile_peft_{}", ::getpid())).string();
    fs::remove_all(folder_);
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  // As the PEFT library writes q_proj and down_proj of layer 0, with counting numbers.
  void write(const std::string& config, std::int64_t in = 16) const {
    write_file_atomic(folder_ + "/adapter_config.json", config);
    const std::string q = "base_model.model.model.layers.0.self_attn.q_proj.",
                      d = "base_model.model.model.layers.0.mlp.down_proj.";
    const std::vector<store::SafetensorsEntry> entries = {{q + "lora_A.weight", "F32", {2, in}},
                                                          {q + "lora_B.weight", "F32", {16, 2}},
                                                          {d + "lora_A.weight", "F32", {2, 24}},
                                                          {d + "lora_B.weight", "F32", {16, 2}}};
    store::SafetensorsWriter writer(folder_ + "/adapter_model.safetensors", entries);
    float next = 0;
    for (const store::SafetensorsEntry& entry : entries) {
      std::vector<float> values(static_cast<std::size_t>(entry.shape.elements()));
      for (float& value : values) value = next++ / 64;
      writer.append(std::as_bytes(std::span(values)));
    }
    writer.finish();
  }
  std::string refusal(const ModelConfig& model) const {
    try {
      open_peft(folder_, model);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
  std::string folder_;
};

constexpr const char* kConfig =
    R"({"peft_type": "LORA", "r": 2, "lora_alpha": 6, "bias": "none", "target_modules":
        ["q_proj", "down_proj"], "use_dora": false, "rank_pattern": {}, "modules_to_save": null})";

TEST_F(Peft, ReadsWhatTheLibraryWrites) {
  for (const char* family : {"llama", "qwen2"}) {
    write(kConfig);
    const auto adapter = open_peft(folder_, tiny(family));
    ASSERT_EQ(adapter->entries().size(), 2u);
    const Adapter::Entry& query = *adapter->entries()[0];
    EXPECT_EQ(query.name, "layers.0.attention.query");
    EXPECT_EQ(query.low.scale, 3.0f);
    EXPECT_EQ(query.a.values[5], 5.0f / 64);
    EXPECT_EQ(query.b.values[0], 32.0f / 64);
    EXPECT_EQ(adapter->entries()[1]->name, "layers.0.ffn.down");
  }
}

TEST_F(Peft, WritesWhatItReads) {
  write(kConfig);
  const ModelConfig model = tiny("llama");
  const auto adapter = open_peft(folder_, model);
  const std::string copy = folder_ + "/copy";
  fs::create_directories(copy);
  write_peft(*adapter, model, "base", copy);
  const auto again = open_peft(copy, model);
  ASSERT_EQ(again->entries().size(), adapter->entries().size());
  for (std::size_t i = 0; i < again->entries().size(); ++i) {
    EXPECT_EQ(again->entries()[i]->a.values, adapter->entries()[i]->a.values);
    EXPECT_EQ(again->entries()[i]->b.values, adapter->entries()[i]->b.values);
  }
}

// llama.cpp has the rows of a head in pairs: row 2·i + h there is row h·4 + i of eight here.
TEST_F(Peft, FollowsTheRowsOfGguf) {
  write(kConfig);
  ModelConfig model = tiny("llama");
  const std::vector<float> halves = open_peft(folder_, model)->entries()[0]->b.values;
  model.rope.order = Backend::RopeOrder::pairs;
  const auto adapter = open_peft(folder_, model);
  const std::vector<float>& pairs = adapter->entries()[0]->b.values;
  for (std::size_t head = 0; head < 2; ++head) {
    for (std::size_t i = 0; i < 4; ++i) {
      for (std::size_t h = 0; h < 2; ++h)
        EXPECT_EQ(pairs[2 * (head * 8 + 2 * i + h)], halves[2 * (head * 8 + h * 4 + i)]);
    }
  }
  const std::string copy = folder_ + "/copy";
  fs::create_directories(copy);
  write_peft(*adapter, model, "base", copy);
  EXPECT_EQ(open_peft(copy, tiny("llama"))->entries()[0]->b.values, halves);
}

TEST_F(Peft, RefusesWhatItDoesNotCompute) {
  const ModelConfig model = tiny("llama");
  EXPECT_NE(refusal(model).find("adapter_config.json"), std::string::npos);
  write(R"({"peft_type": "IA3", "r": 2})");
  EXPECT_NE(refusal(model).find("IA3"), std::string::npos);
  write(R"({"peft_type": "LORA", "r": 2, "lora_alpha": 2, "use_dora": true})");
  EXPECT_NE(refusal(model).find("use_dora"), std::string::npos);
  write(R"({"peft_type": "LORA", "r": 2, "lora_alpha": 2, "rank_pattern": {"q_proj": 4}})");
  EXPECT_NE(refusal(model).find("rank_pattern"), std::string::npos);
  for (const char* rank : {"0", "-3", "1e9", "\"2\"", "null"}) {
    write(fmt::format(R"({{"peft_type": "LORA", "r": {}, "lora_alpha": 2}})", rank));
    EXPECT_NE(refusal(model).find("expected r"), std::string::npos) << rank;
  }
}

TEST_F(Peft, NamesEverythingThatDoesNotFit) {
  write(kConfig, 17);
  const std::string shapes = refusal(tiny("llama"));
  EXPECT_NE(shapes.find("q_proj.lora_A"), std::string::npos) << shapes;
  write(R"({"peft_type": "LORA", "r": 3, "lora_alpha": 2})");
  const std::string ranks = refusal(tiny("llama"));
  EXPECT_NE(ranks.find("q_proj.lora_B"), std::string::npos) << ranks;
  EXPECT_NE(ranks.find("down_proj.lora_A"), std::string::npos) << ranks;
}

}  // namespace
}  // namespace nautile
