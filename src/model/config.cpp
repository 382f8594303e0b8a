#include "model/config.h"

#include <cmath>

#include "base/error.h"

namespace nautile {

double yarn_mscale(double scale, double mscale) {
  return scale <= 1 ? 1.0 : 0.1 * mscale * std::log(scale) + 1.0;
}

namespace {

void in_range(const char* what, std::int64_t value, std::int64_t low, std::int64_t high) {
  NAUTILE_CHECK(value >= low && value <= high, "{} is {}: expected {} to {}", what, value, low,
                high);
}

void validate_attention(const AttentionConfig& a) {
  in_range("number of attention heads", a.heads, 1, 4096);
  in_range("value head size", a.value_dims, 1, 8192);
  in_range("rotary head size", a.rope_dims, 2, 8192);
  NAUTILE_CHECK(a.rope_dims % 2 == 0, "rotary head size is {}: expected an even number",
                a.rope_dims);
  if (a.kind == AttentionKind::mla) {
    in_range("plain head size (qk_nope_head_dim)", a.plain_dims, 1, 8192);
    in_range("kv_lora_rank", a.kv_rank, 1, 65536);
    in_range("q_lora_rank", a.query_rank, 0, 65536);
  } else {
    in_range("number of key-value heads", a.kv_heads, 1, a.heads);
    NAUTILE_CHECK(a.heads % a.kv_heads == 0,
                  "{} attention heads do not divide into {} key-value heads", a.heads, a.kv_heads);
  }
}

void validate_moe(const MoeConfig& moe) {
  const RouteRule& r = moe.route;
  in_range("number of experts", r.experts, 1, 65536);
  in_range("experts per token", r.chosen, 1, r.experts);
  in_range("expert width", moe.width, 1, 1 << 24);
  in_range("shared expert width", moe.shared_width, 0, 1 << 24);
  in_range("expert groups", r.groups, 1, r.experts);
  in_range("chosen expert groups", r.chosen_groups, 1, r.groups);
  NAUTILE_CHECK(r.experts % r.groups == 0, "{} experts do not divide into {} groups", r.experts,
                r.groups);
  NAUTILE_CHECK(r.chosen <= r.experts / r.groups * r.chosen_groups,
                "{} experts per token cannot be chosen from {} groups of {}", r.chosen,
                r.chosen_groups, r.experts / r.groups);
}

}  // namespace

void ModelConfig::validate() const {
  in_range("hidden size", width, 1, 1 << 20);
  in_range("number of layers", layers, 1, 4096);
  in_range("vocabulary size", vocabulary, 1, 1 << 26);
  in_range("context length", context, 1, 1 << 30);
  in_range("number of MTP layers", mtp_layers, 0, 16);
  validate_attention(attention);
  NAUTILE_ASSERT(static_cast<int>(is_moe.size()) == layers, "is_moe has {} of {} layers",
                 is_moe.size(), layers);
  bool any_dense = false, any_moe = mtp_layers > 0 && moe.route.experts > 0;
  for (bool moe_layer : is_moe) (moe_layer ? any_moe : any_dense) = true;
  // Bounds the list of weights before it is made; DeepSeek-V3 has 15,616 experts in all.
  if (any_moe)
    in_range("layers times experts", std::int64_t{layers} * moe.route.experts, 1, 1 << 18);
  if (any_dense) in_range("feed-forward width", ffn_width, 1, 1 << 24);
  if (any_moe) validate_moe(moe);
  NAUTILE_CHECK(std::isfinite(norm_eps) && norm_eps >= 0, "norm epsilon is {}", norm_eps);
  NAUTILE_CHECK(std::isfinite(rope.theta) && rope.theta > 0,
                "rope theta is {}: expected a positive number", rope.theta);
  NAUTILE_CHECK(std::isfinite(rope.factor) && rope.factor > 0,
                "rope scaling factor is {}: expected a positive number", rope.factor);
  NAUTILE_CHECK(std::isfinite(attention.softmax_scale), "the softmax scale is {}",
                attention.softmax_scale);
  NAUTILE_CHECK(
      rope.divisors.empty() || static_cast<int>(rope.divisors.size()) == attention.rope_dims / 2,
      "rope_freqs has {} values: expected {}", rope.divisors.size(), attention.rope_dims / 2);
}

}  // namespace nautile
