// Parameter counts of released models against the published check sums (model cards and reports).
#include "model/model_facts.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "model/family.h"

namespace nautile {
namespace {

nlohmann::json deepseek_v3() {
  return nlohmann::json::parse(R"({
    "model_type": "deepseek_v3", "vocab_size": 129280, "hidden_size": 7168,
    "intermediate_size": 18432, "moe_intermediate_size": 2048, "num_hidden_layers": 61,
    "first_k_dense_replace": 3, "moe_layer_freq": 1, "num_nextn_predict_layers": 1,
    "num_attention_heads": 128, "num_key_value_heads": 128, "q_lora_rank": 1536,
    "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
    "n_routed_experts": 256, "n_shared_experts": 1, "num_experts_per_tok": 8, "n_group": 8,
    "topk_group": 4, "topk_method": "noaux_tc", "scoring_func": "sigmoid", "norm_topk_prob": true,
    "routed_scaling_factor": 2.5, "max_position_embeddings": 163840, "rope_theta": 10000,
    "rope_scaling": {"type": "yarn", "factor": 40, "original_max_position_embeddings": 4096,
                     "beta_fast": 32, "beta_slow": 1, "mscale": 1.0, "mscale_all_dim": 1.0},
    "rms_norm_eps": 1e-6, "hidden_act": "silu", "tie_word_embeddings": false})");
}

ModelFacts facts_of_json(const nlohmann::json& json) {
  return facts_of(family_of_hf(json.at("model_type").get<std::string>()).from_hf(json));
}

TEST(ModelFacts, DeepSeekV3) {
  const ModelFacts facts = facts_of_json(deepseek_v3());
  EXPECT_EQ(facts.parameters, 671'026'419'200u);  // report: 671 B
  // Report: 37 B activated; per MoE layer 8 of 256 experts of 3·7168·2048.
  EXPECT_EQ(facts.active_parameters,
            facts.parameters - 58ull * 248u * 3u * 7168u * 2048u - 129279ull * 7168u);
  // One block like the others, two norms and the norm before the head, the joining matrix.
  EXPECT_EQ(facts.mtp_parameters, 11'507'286'272u + 3u * 7168u + 2ull * 7168u * 7168u);
  EXPECT_EQ(facts.head_flops, 2.0 * 129280 * 7168);
  EXPECT_EQ(facts.flops_per_past_token, 61 * 2.0 * 128 * (576 + 512));
  // A module: the join, attention, router, 8 + 1 experts; and the head.
  const double attention =
      1536. * 7168 + 128. * 192 * 1536 + 576. * 7168 + 128. * 256 * 512 + 7168. * 128 * 128;
  EXPECT_EQ(facts.mtp_flops_per_token, 2 * (2 * 7168. * 7168 + attention + 256 * 7168. +
                                            9 * 3 * 7168. * 2048 + 129280. * 7168));
  EXPECT_EQ(facts.mtp_flops_per_pair, 2.0 * 128 * (192 + 128));
}

TEST(ModelFacts, DeepSeekV2) {
  nlohmann::json json = deepseek_v3();
  json.update(nlohmann::json::parse(R"({"model_type": "deepseek_v2", "vocab_size": 102400,
    "hidden_size": 5120, "intermediate_size": 12288, "moe_intermediate_size": 1536,
    "num_hidden_layers": 60, "first_k_dense_replace": 1, "n_routed_experts": 160,
    "n_shared_experts": 2, "num_experts_per_tok": 6, "topk_group": 3,
    "topk_method": "group_limited_greedy", "scoring_func": "softmax", "norm_topk_prob": false,
    "routed_scaling_factor": 16.0})"));
  json.erase("num_nextn_predict_layers");
  EXPECT_EQ(facts_of_json(json).parameters, 235'741'434'880u);
}

TEST(ModelFacts, DeepSeekV2Lite) {
  nlohmann::json json = deepseek_v3();
  json.update(nlohmann::json::parse(R"({"model_type": "deepseek_v2", "vocab_size": 102400,
    "hidden_size": 2048, "intermediate_size": 10944, "moe_intermediate_size": 1408,
    "num_hidden_layers": 27, "first_k_dense_replace": 1, "num_attention_heads": 16,
    "num_key_value_heads": 16, "q_lora_rank": null, "n_routed_experts": 64,
    "n_shared_experts": 2, "num_experts_per_tok": 6, "n_group": 1, "topk_group": 1,
    "topk_method": "greedy", "scoring_func": "softmax", "norm_topk_prob": false,
    "routed_scaling_factor": 1.0})"));
  json.erase("num_nextn_predict_layers");
  EXPECT_EQ(facts_of_json(json).parameters, 15'706'484'224u);
}

TEST(ModelFacts, KimiK2AndMoonlight) {
  nlohmann::json kimi = deepseek_v3();
  kimi.update(nlohmann::json::parse(R"({"model_type": "kimi_k2", "vocab_size": 163840,
    "first_k_dense_replace": 1, "num_nextn_predict_layers": 0, "num_attention_heads": 64,
    "num_key_value_heads": 64, "n_routed_experts": 384, "n_group": 1, "topk_group": 1,
    "routed_scaling_factor": 2.827, "max_position_embeddings": 131072, "rope_theta": 50000})"));
  EXPECT_EQ(facts_of_json(kimi).parameters, 1'026'408'232'448u);

  nlohmann::json moonlight = kimi;
  moonlight.update(nlohmann::json::parse(R"({"model_type": "deepseek_v3", "hidden_size": 2048,
    "intermediate_size": 11264, "moe_intermediate_size": 1408, "num_hidden_layers": 27,
    "num_attention_heads": 16, "num_key_value_heads": 16, "q_lora_rank": null,
    "n_routed_experts": 64, "n_shared_experts": 2, "num_experts_per_tok": 6,
    "routed_scaling_factor": 2.446, "max_position_embeddings": 8192})"));
  moonlight.erase("rope_scaling");
  EXPECT_EQ(facts_of_json(moonlight).parameters, 15'960'110'208u);
}

TEST(ModelFacts, TiedHeadCountsOnce) {
  const ModelFacts facts = facts_of_json(nlohmann::json::parse(R"({
    "model_type": "llama", "vocab_size": 49152, "hidden_size": 576, "intermediate_size": 1536,
    "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
    "max_position_embeddings": 8192, "rope_theta": 100000, "rms_norm_eps": 1e-5,
    "hidden_act": "silu", "tie_word_embeddings": true})"));
  EXPECT_EQ(facts.parameters, 134'515'008u);  // SmolLM2-135M
  EXPECT_EQ(facts.active_parameters, facts.parameters);
}

}  // namespace
}  // namespace nautile
