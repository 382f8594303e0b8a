// deepseek.cpp — the DeepSeek line: V2, V2-Lite, V3, R1, V3.1, and Kimi-K2 and Moonlight, which
// share it.
#include "model/families/hf_facts.h"
#include "model/family.h"

namespace nautile {
namespace {

void set_route_kind(RouteRule& route, std::string_view score, std::string_view method) {
  if (score == "sigmoid") {
    route.score = RouteRule::Score::sigmoid;
  } else if (score != "softmax") {
    fail(ErrorKind::unsupported, "config.json: scoring_func '{}': expected softmax or sigmoid",
         score);
  }
  if (method == "noaux_tc") {
    route.group_score = RouteRule::GroupScore::sum_of_top2;
  } else if (method == "group_limited_greedy") {
    route.group_score = RouteRule::GroupScore::max;
  } else if (method == "greedy") {
    route.groups = route.chosen_groups = 1;
  } else {
    fail(ErrorKind::unsupported,
         "config.json: topk_method '{}': expected noaux_tc, group_limited_greedy or greedy",
         method);
  }
}

void read_experts(const HfFacts& facts, ModelConfig& c, bool v3) {
  RouteRule& route = c.moe.route;
  route.experts = facts.size("n_routed_experts");
  route.chosen = facts.size("num_experts_per_tok");
  route.groups = std::max(1, facts.size_or("n_group", 1));
  route.chosen_groups = std::max(1, facts.size_or("topk_group", 1));
  route.scale = static_cast<float>(facts.number_or("routed_scaling_factor", 1));
  route.normalize =
      facts.flag_or("norm_topk_prob", v3) ? RouteRule::Normalize::yes : RouteRule::Normalize::no;
  set_route_kind(route, facts.text_or("scoring_func", v3 ? "sigmoid" : "softmax"),
                 facts.text_or("topk_method", v3 ? "noaux_tc" : "greedy"));
  // V2's code scales the weights only when it does not normalize them (modeling_deepseek v2).
  if (!v3 && route.normalize == RouteRule::Normalize::yes) route.scale = 1;
  c.moe.bias = facts.text_or("topk_method", v3 ? "noaux_tc" : "greedy") == "noaux_tc"
                   ? MoeConfig::RouterBias::yes
                   : MoeConfig::RouterBias::no;
  c.moe.width = facts.size("moe_intermediate_size");
  c.moe.shared_width = facts.size_or("n_shared_experts", 0) * c.moe.width;
  const std::int64_t dense = facts.integer_or("first_k_dense_replace", 0, 0, c.layers);
  const std::int64_t every = facts.integer_or("moe_layer_freq", 1, 1, 1 << 20);
  for (int layer = 0; layer < c.layers; ++layer)
    c.is_moe[static_cast<std::size_t>(layer)] = layer >= dense && layer % every == 0;
}

ModelConfig from_hf(const nlohmann::json& json) {
  const HfFacts facts(json);
  const std::string type = facts.text_or("model_type", "");
  const bool v3 = type != "deepseek_v2";
  ModelConfig c = common_hf(facts, type);
  AttentionConfig& a = c.attention;
  a.kind = AttentionKind::mla;
  a.kv_heads = a.heads;
  a.plain_dims = facts.size("qk_nope_head_dim");
  a.rope_dims = facts.size("qk_rope_head_dim");
  a.value_dims = facts.size("v_head_dim");
  a.query_rank = facts.size_or("q_lora_rank", 0);
  a.kv_rank = facts.size("kv_lora_rank");
  if (facts.flag_or("attention_bias", false))
    fail(ErrorKind::unsupported,
         "config.json: attention_bias is true: no released DeepSeek model has one");
  c.rope = RopeConfig{};
  c.rope.order = facts.flag_or("rope_interleave", true) ? Backend::RopeOrder::pairs
                                                        : Backend::RopeOrder::halves;
  const double factor = read_rope_scaling(facts, c);
  a.softmax_scale = static_cast<float>(factor / std::sqrt(static_cast<double>(a.key_dims())));
  if (facts.find("n_routed_experts")) read_experts(facts, c, v3);
  if (facts.find("quantization_config")) {
    const std::string scales = facts.object("quantization_config").text_or("scale_fmt", "");
    if (scales == "ue8m0") c.f8_scales = ModelConfig::F8Scales::powers_of_two;
  }
  c.mtp_layers = static_cast<int>(facts.integer_or("num_nextn_predict_layers", 0, 0, 16));
  return c;
}

// llama.cpp writes yarn_log_multiplier = 0.1·mscale_all_dim and takes mscale for equal to it, so
// the amplitude is 1 where it is present (spec: every released config has the two equal).
double gguf_yarn(const store::GgufFile& file, ModelConfig& c) {
  if (c.rope.scaling != RopeConfig::Scaling::yarn) return 1;
  const double all =
      static_cast<double>(
          file.optional_f32("deepseek2.rope.scaling.yarn_log_multiplier").value_or(0)) *
      10;
  if (all == 0) return 1;
  c.rope.amplitude = 1;
  const double m = yarn_mscale(static_cast<double>(c.rope.factor), all);
  return m * m;
}

ModelConfig from_gguf(const store::GgufFile& file) {
  ModelConfig c = common_gguf(file, "deepseek2");
  AttentionConfig& a = c.attention;
  const auto number = [&](std::string_view key) {
    return file.optional_u32(fmt::format("deepseek2.{}", key));
  };
  const auto needed = [&](std::string_view key) {
    return static_cast<int>(file.u32(fmt::format("deepseek2.{}", key)));
  };
  a.kind = AttentionKind::mla;
  a.kv_heads = a.heads;
  a.kv_rank = needed("attention.kv_lora_rank");
  a.query_rank = static_cast<int>(number("attention.q_lora_rank").value_or(0));
  a.rope_dims = needed("rope.dimension_count");
  // Current files describe the shared latent head (576/512) and add *_mla; older ones have 192/128.
  const int key_dims = number("attention.key_length_mla") ? needed("attention.key_length_mla")
                                                          : needed("attention.key_length");
  a.value_dims = number("attention.value_length_mla") ? needed("attention.value_length_mla")
                                                      : needed("attention.value_length");
  a.plain_dims = key_dims - a.rope_dims;
  c.rope.order = Backend::RopeOrder::pairs;
  const double factor = gguf_yarn(file, c);
  a.softmax_scale = static_cast<float>(factor / std::sqrt(static_cast<double>(key_dims)));
  if (const std::uint32_t experts = number("expert_count").value_or(0)) {
    RouteRule& route = c.moe.route;
    route.experts = static_cast<int>(std::min<std::uint32_t>(experts, 1u << 20));
    route.chosen = needed("expert_used_count");
    route.groups = static_cast<int>(std::max(1u, number("expert_group_count").value_or(1)));
    route.chosen_groups =
        static_cast<int>(std::max(1u, number("expert_group_used_count").value_or(1)));
    route.scale = file.optional_f32("deepseek2.expert_weights_scale").value_or(1.0f);
    // Old files lack the gating function, then softmax, and the norm flag, then no.
    const bool sigmoid = number("expert_gating_func").value_or(1) == 2;
    route.score = sigmoid ? RouteRule::Score::sigmoid : RouteRule::Score::softmax;
    route.group_score = sigmoid ? RouteRule::GroupScore::sum_of_top2 : RouteRule::GroupScore::max;
    route.normalize = file.optional_boolean("deepseek2.expert_weights_norm").value_or(false)
                          ? RouteRule::Normalize::yes
                          : RouteRule::Normalize::no;
    c.moe.bias = sigmoid ? MoeConfig::RouterBias::yes : MoeConfig::RouterBias::no;
    c.moe.width = needed("expert_feed_forward_length");
    c.moe.shared_width = static_cast<int>(number("expert_shared_count").value_or(0)) * c.moe.width;
    const int dense = static_cast<int>(std::min<std::uint32_t>(
        number("leading_dense_block_count").value_or(0), static_cast<std::uint32_t>(c.layers)));
    for (int layer = dense; layer < c.layers; ++layer)
      c.is_moe[static_cast<std::size_t>(layer)] = true;
  }
  return c;
}

}  // namespace

const Family kDeepSeek = {.name = "deepseek",
                          .hf_types = "deepseek_v2 deepseek_v3 kimi_k2",
                          .gguf_architectures = "deepseek2",
                          .from_hf = from_hf,
                          .from_gguf = from_gguf,
                          .hf_name = hf_tensor_name,
                          .gguf_name = gguf_tensor_name};

}  // namespace nautile
