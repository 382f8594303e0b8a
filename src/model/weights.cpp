#include "model/weights.h"

namespace nautile {
namespace {

using Need = SlotInfo::Need;

// Visits with a common prefix.
struct Prefix {
  const Visitor& f;
  std::string prefix;
  int expert = -1;

  void operator()(std::string_view name, Shape shape, Role role, Slot& slot,
                  Need need = Need::required) const {
    f({prefix + std::string(name), shape, role, need, expert}, slot);
  }
  Prefix at(std::string_view name) const { return {f, prefix + std::string(name)}; }
  Prefix at_expert(int e) const { return {f, fmt::format("{}experts.{}.", prefix, e), e}; }
};

void visit_mla(const AttentionConfig& a, int width, const Prefix& p, MlaWeights& w) {
  const std::int64_t H = a.heads, N = a.plain_dims, R = a.rope_dims, V = a.value_dims,
                     C = a.kv_rank, Q = a.query_rank;
  if (Q == 0) {
    p("query", {H * (N + R), width}, Role::matrix, w.query);
  } else {
    p("query_down", {Q, width}, Role::matrix, w.query_down);
    p("query_norm", {Q}, Role::norm, w.query_norm);
    p("query_up", {H * (N + R), Q}, Role::matrix, w.query_up);
  }
  p("kv_down", {C + R, width}, Role::matrix, w.kv_down);
  p("kv_norm", {C}, Role::norm, w.kv_norm);
  p("kv_up", {H * (N + V), C}, Role::matrix, w.kv_up, Need::optional);
  p("key_up", {H, C, N}, Role::matrix, w.key_up, Need::optional);
  p("value_up", {H, V, C}, Role::matrix, w.value_up, Need::optional);
  p("output", {width, H * V}, Role::matrix, w.output);
}

void visit_grouped(const AttentionConfig& a, int width, const Prefix& p, GroupedWeights& w) {
  const std::int64_t R = a.rope_dims, V = a.value_dims;
  p("query", {a.heads * R, width}, Role::matrix, w.query);
  p("key", {a.kv_heads * R, width}, Role::matrix, w.key);
  p("value", {a.kv_heads * V, width}, Role::matrix, w.value);
  if (a.bias == AttentionConfig::QkvBias::yes) {
    p("query_bias", {a.heads * R}, Role::bias, w.query_bias);
    p("key_bias", {a.kv_heads * R}, Role::bias, w.key_bias);
    p("value_bias", {a.kv_heads * V}, Role::bias, w.value_bias);
  }
  if (a.head_norm == AttentionConfig::HeadNorm::yes) {
    p("query_head_norm", {R}, Role::norm, w.query_head_norm);
    p("key_head_norm", {R}, Role::norm, w.key_head_norm);
  }
  p("output", {width, a.heads * V}, Role::matrix, w.output);
}

void visit_ffn(std::int64_t width, std::int64_t ffn, const Prefix& p, FfnWeights& w) {
  p("gate", {ffn, width}, Role::matrix, w.gate);
  p("up", {ffn, width}, Role::matrix, w.up);
  p("down", {width, ffn}, Role::matrix, w.down);
}

void visit_moe(const MoeConfig& moe, std::int64_t width, const Prefix& p, MoeWeights& w) {
  p("router", {moe.route.experts, width}, Role::router, w.router);
  if (moe.bias == MoeConfig::RouterBias::yes)
    p("router_bias", {moe.route.experts}, Role::router_bias, w.router_bias);
  for (std::size_t e = 0; e < w.experts.size(); ++e) {
    visit_ffn(width, moe.width, p.at_expert(static_cast<int>(e)), w.experts[e]);
  }
  if (moe.shared_width > 0) visit_ffn(width, moe.shared_width, p.at("shared."), w.shared);
}

void visit_block(const ModelConfig& c, const Prefix& p, BlockWeights& w) {
  p("attention_norm", {c.width}, Role::norm, w.attention_norm);
  if (c.attention.kind == AttentionKind::mla) {
    visit_mla(c.attention, c.width, p.at("attention."), w.mla);
  } else {
    visit_grouped(c.attention, c.width, p.at("attention."), w.grouped);
  }
  p("ffn_norm", {c.width}, Role::norm, w.ffn_norm);
  if (w.is_moe) {
    visit_moe(c.moe, c.width, p.at("ffn."), w.moe);
  } else {
    visit_ffn(c.width, c.ffn_width, p.at("ffn."), w.dense);
  }
}

void shape_block(const ModelConfig& config, BlockWeights& block, bool is_moe) {
  block.is_moe = is_moe;
  if (is_moe) block.moe.experts.resize(static_cast<std::size_t>(config.moe.route.experts));
}

}  // namespace

ModelWeights::ModelWeights(const ModelConfig& config)
    : blocks(static_cast<std::size_t>(config.layers)) {
  for (std::size_t i = 0; i < blocks.size(); ++i) shape_block(config, blocks[i], config.is_moe[i]);
  mtp.resize(static_cast<std::size_t>(config.mtp_layers));
  for (MtpWeights& module : mtp) shape_block(config, module.block, config.moe.route.experts > 0);
}

void ModelWeights::visit(const ModelConfig& c, const Visitor& f) {
  const Prefix root{f, ""};
  root("embedding", {c.vocabulary, c.width}, Role::embedding, embedding);
  for (std::size_t i = 0; i < blocks.size(); ++i)
    visit_block(c, root.at(fmt::format("layers.{}.", i)), blocks[i]);
  root("output_norm", {c.width}, Role::norm, output_norm);
  if (c.head == ModelConfig::Head::own) root("head", {c.vocabulary, c.width}, Role::head, head);
  for (std::size_t k = 0; k < mtp.size(); ++k) {
    // A module is layer L + k of the checkpoint.
    const Prefix p = root.at(fmt::format("layers.{}.", c.layers + static_cast<int>(k)));
    p("mtp.embedding_norm", {c.width}, Role::norm, mtp[k].embedding_norm);
    p("mtp.hidden_norm", {c.width}, Role::norm, mtp[k].hidden_norm);
    p("mtp.join", {c.width, 2 * c.width}, Role::matrix, mtp[k].join);
    visit_block(c, p, mtp[k].block);
    p("mtp.output_norm", {c.width}, Role::norm, mtp[k].output_norm);
  }
}

}  // namespace nautile
