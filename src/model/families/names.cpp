// names.cpp — tensor names of Hugging Face checkpoints and of llama.cpp's GGUF files.
#include <algorithm>

#include "base/error.h"
#include "model/family.h"

namespace nautile {
namespace {

// "layers.12.attention.query" -> layer 12 and "attention.query".
struct LayerName {
  std::string_view layer, rest;
};

std::optional<LayerName> split_layer(std::string_view canonical) {
  constexpr std::string_view kLayers = "layers.";
  if (!canonical.starts_with(kLayers)) return std::nullopt;
  canonical.remove_prefix(kLayers.size());
  const std::size_t dot = canonical.find('.');
  return LayerName{canonical.substr(0, dot), canonical.substr(dot + 1)};
}

const std::string_view* lookup(std::span<const NamePair> spelling, std::string_view canonical) {
  const auto found = std::find_if(spelling.begin(), spelling.end(),
                                  [&](const NamePair& p) { return p.canonical == canonical; });
  return found == spelling.end() ? nullptr : &found->file;
}

constexpr NamePair kHf[] = {
    {"embedding", "model.embed_tokens.weight"},
    {"output_norm", "model.norm.weight"},
    {"head", "lm_head.weight"},
    {"attention_norm", "input_layernorm.weight"},
    {"ffn_norm", "post_attention_layernorm.weight"},
    {"attention.query", "self_attn.q_proj.weight"},
    {"attention.key", "self_attn.k_proj.weight"},
    {"attention.value", "self_attn.v_proj.weight"},
    {"attention.query_bias", "self_attn.q_proj.bias"},
    {"attention.key_bias", "self_attn.k_proj.bias"},
    {"attention.value_bias", "self_attn.v_proj.bias"},
    {"attention.query_head_norm", "self_attn.q_norm.weight"},
    {"attention.key_head_norm", "self_attn.k_norm.weight"},
    {"attention.query_down", "self_attn.q_a_proj.weight"},
    {"attention.query_norm", "self_attn.q_a_layernorm.weight"},
    {"attention.query_up", "self_attn.q_b_proj.weight"},
    {"attention.kv_down", "self_attn.kv_a_proj_with_mqa.weight"},
    {"attention.kv_norm", "self_attn.kv_a_layernorm.weight"},
    {"attention.kv_up", "self_attn.kv_b_proj.weight"},
    {"attention.output", "self_attn.o_proj.weight"},
    {"ffn.gate", "mlp.gate_proj.weight"},
    {"ffn.up", "mlp.up_proj.weight"},
    {"ffn.down", "mlp.down_proj.weight"},
    {"ffn.router", "mlp.gate.weight"},
    {"ffn.router_bias", "mlp.gate.e_score_correction_bias"},
    {"ffn.shared.gate", "mlp.shared_experts.gate_proj.weight"},
    {"ffn.shared.up", "mlp.shared_experts.up_proj.weight"},
    {"ffn.shared.down", "mlp.shared_experts.down_proj.weight"},
    {"mtp.embedding_norm", "enorm.weight"},
    {"mtp.hidden_norm", "hnorm.weight"},
    {"mtp.join", "eh_proj.weight"},
    {"mtp.output_norm", "shared_head.norm.weight"},
};

constexpr NamePair kGguf[] = {
    {"embedding", "token_embd.weight"},
    {"output_norm", "output_norm.weight"},
    {"head", "output.weight"},
    {"attention_norm", "attn_norm.weight"},
    {"ffn_norm", "ffn_norm.weight"},
    {"attention.query", "attn_q.weight"},
    {"attention.key", "attn_k.weight"},
    {"attention.value", "attn_v.weight"},
    {"attention.query_bias", "attn_q.bias"},
    {"attention.key_bias", "attn_k.bias"},
    {"attention.value_bias", "attn_v.bias"},
    {"attention.query_head_norm", "attn_q_norm.weight"},
    {"attention.key_head_norm", "attn_k_norm.weight"},
    {"attention.query_down", "attn_q_a.weight"},
    {"attention.query_norm", "attn_q_a_norm.weight"},
    {"attention.query_up", "attn_q_b.weight"},
    {"attention.kv_down", "attn_kv_a_mqa.weight"},
    {"attention.kv_norm", "attn_kv_a_norm.weight"},
    {"attention.kv_up", "attn_kv_b.weight"},
    {"attention.key_up", "attn_k_b.weight"},
    {"attention.value_up", "attn_v_b.weight"},
    {"attention.output", "attn_output.weight"},
    {"ffn.gate", "ffn_gate.weight"},
    {"ffn.up", "ffn_up.weight"},
    {"ffn.down", "ffn_down.weight"},
    {"ffn.router", "ffn_gate_inp.weight"},
    {"ffn.router_bias", "exp_probs_b.bias"},
    {"ffn.experts.gate", "ffn_gate_exps.weight"},
    {"ffn.experts.up", "ffn_up_exps.weight"},
    {"ffn.experts.down", "ffn_down_exps.weight"},
    {"ffn.shared.gate", "ffn_gate_shexp.weight"},
    {"ffn.shared.up", "ffn_up_shexp.weight"},
    {"ffn.shared.down", "ffn_down_shexp.weight"},
    {"mtp.embedding_norm", "nextn.enorm.weight"},
    {"mtp.hidden_norm", "nextn.hnorm.weight"},
    {"mtp.join", "nextn.eh_proj.weight"},
    {"mtp.output_norm", "nextn.shared_head_norm.weight"},
};

}  // namespace

std::optional<std::string> spell(std::string_view canonical, std::string_view layer_prefix,
                                 std::span<const NamePair> spelling) {
  const std::optional<LayerName> layer = split_layer(canonical);
  const std::string_view* file = lookup(spelling, layer ? layer->rest : canonical);
  if (!file) return std::nullopt;
  return layer ? fmt::format("{}{}.{}", layer_prefix, layer->layer, *file) : std::string(*file);
}

std::optional<std::string> hf_tensor_name(std::string_view canonical) {
  // layers.N.ffn.experts.E.gate -> model.layers.N.mlp.experts.E.gate_proj.weight
  const std::optional<LayerName> layer = split_layer(canonical);
  constexpr std::string_view kExperts = "ffn.experts.";
  if (layer && layer->rest.starts_with(kExperts)) {
    return fmt::format("model.layers.{}.mlp.{}_proj.weight", layer->layer, layer->rest.substr(4));
  }
  return spell(canonical, "model.layers.", kHf);
}

std::optional<std::string> gguf_tensor_name(std::string_view canonical) {
  return spell(canonical, "blk.", kGguf);
}

}  // namespace nautile
