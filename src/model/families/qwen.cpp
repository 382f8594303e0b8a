// qwen.cpp — the Qwen line: Qwen2 (R1-Distill-Qwen), Qwen3 dense and mixture-of-experts.
#include <algorithm>

#include "model/families/hf_facts.h"
#include "model/family.h"

namespace nautile {
namespace {

void set_kind(ModelConfig& c, std::string_view type) {
  c.family = type;
  if (type == "qwen2") {
    c.attention.bias = AttentionConfig::QkvBias::yes;
  } else {
    c.attention.head_norm = AttentionConfig::HeadNorm::yes;
  }
}

// Softmax over all experts, then the largest, then normalized if asked (transformers Qwen3Moe).
void read_experts(const HfFacts& facts, ModelConfig& c) {
  RouteRule& route = c.moe.route;
  route.score = RouteRule::Score::softmax;
  route.experts =
      facts.find("num_experts") ? facts.size("num_experts") : facts.size("num_local_experts");
  route.chosen = facts.size("num_experts_per_tok");
  route.normalize =
      facts.flag_or("norm_topk_prob", false) ? RouteRule::Normalize::yes : RouteRule::Normalize::no;
  c.moe.width = facts.size("moe_intermediate_size");
  const std::int64_t step = facts.integer_or("decoder_sparse_step", 1, 1, 1 << 20);
  for (int layer = 0; layer < c.layers; ++layer)
    c.is_moe[static_cast<std::size_t>(layer)] = (layer + 1) % step == 0;
  if (const nlohmann::json* dense = facts.find("mlp_only_layers")) {
    NAUTILE_CHECK(dense->is_array(), "config.json: mlp_only_layers: expected a list of layers");
    for (const nlohmann::json& layer : *dense) {
      NAUTILE_CHECK(layer.is_number_integer() && layer.get<std::int64_t>() >= 0 &&
                        layer.get<std::int64_t>() < c.layers,
                    "config.json: mlp_only_layers names layer {}: expected 0 to {}", layer.dump(),
                    c.layers - 1);
      c.is_moe[layer.get<std::size_t>()] = false;
    }
  }
}

ModelConfig from_hf(const nlohmann::json& json) {
  const HfFacts facts(json);
  ModelConfig c = common_hf(facts, "qwen");
  set_kind(c, facts.text_or("model_type", ""));
  if (facts.flag_or("use_sliding_window", false)) {
    fail(ErrorKind::unsupported,
         "config.json: use_sliding_window is true: sliding windows are not known here");
  }
  if (c.family == "qwen3_moe") read_experts(facts, c);
  return c;
}

ModelConfig from_gguf(const store::GgufFile& file) {
  const std::string type = file.architecture() == "qwen3moe" ? "qwen3_moe" : file.architecture();
  ModelConfig c = common_gguf(file, type);
  set_kind(c, type);
  c.rope.order = Backend::RopeOrder::halves;
  if (type == "qwen3_moe") {
    RouteRule& route = c.moe.route;
    route.experts = static_cast<int>(file.u32("qwen3moe.expert_count"));
    route.chosen = static_cast<int>(file.u32("qwen3moe.expert_used_count"));
    // llama.cpp normalizes always: every released Qwen3 mixture does.
    route.normalize = file.optional_boolean("qwen3moe.expert_weights_norm").value_or(true)
                          ? RouteRule::Normalize::yes
                          : RouteRule::Normalize::no;
    c.moe.width = static_cast<int>(file.u32("qwen3moe.expert_feed_forward_length"));
    std::fill(c.is_moe.begin(), c.is_moe.end(), true);
  }
  return c;
}

}  // namespace

const Family kQwen = {.name = "qwen",
                      .hf_types = "qwen2 qwen3 qwen3_moe",
                      .gguf_architectures = "qwen2 qwen3 qwen3moe",
                      .from_hf = from_hf,
                      .from_gguf = from_gguf,
                      .hf_name = hf_tensor_name,
                      .gguf_name = gguf_tensor_name};

}  // namespace nautile
