#include "make_model/tensors.h"

#include <fmt/format.h>

#include <cmath>

#include "base/rng.h"

namespace nautile::make_model {
namespace {

class Lister {
 public:
  explicit Lister(const Facts& facts) : facts_(facts) {}

  std::vector<TensorSpec> list() {
    add("model.embed_tokens.weight", {facts_.vocabulary, facts_.width}, Role::embedding);
    for (std::int64_t i = 0; i < facts_.layers; ++i) layer(i);
    add("model.norm.weight", {facts_.width}, Role::norm);
    if (!facts_.tied) add("lm_head.weight", {facts_.vocabulary, facts_.width}, Role::head);
    for (std::int64_t i = facts_.layers; i < facts_.layers + facts_.mtp_layers; ++i) mtp(i);
    return std::move(specs_);
  }

 private:
  void add(std::string name, Shape shape, Role role, std::string values_of = {}) {
    if (values_of.empty()) values_of = name;
    specs_.push_back({std::move(name), shape, role, std::move(values_of)});
  }

  void mla(const std::string& p) {
    const std::int64_t key = facts_.nope + facts_.rope_dim;
    if (facts_.q_rank > 0) {
      add(p + "q_a_proj.weight", {facts_.q_rank, facts_.width}, Role::matrix);
      add(p + "q_a_layernorm.weight", {facts_.q_rank}, Role::norm);
      add(p + "q_b_proj.weight", {facts_.heads * key, facts_.q_rank}, Role::matrix);
    } else {
      add(p + "q_proj.weight", {facts_.heads * key, facts_.width}, Role::matrix);
    }
    add(p + "kv_a_proj_with_mqa.weight", {facts_.kv_rank + facts_.rope_dim, facts_.width},
        Role::matrix);
    add(p + "kv_a_layernorm.weight", {facts_.kv_rank}, Role::norm);
    add(p + "kv_b_proj.weight", {facts_.heads * (facts_.nope + facts_.value_dim), facts_.kv_rank},
        Role::matrix);
    add(p + "o_proj.weight", {facts_.width, facts_.heads * facts_.value_dim}, Role::residual);
  }

  void gqa(const std::string& p) {
    const std::int64_t rows[] = {facts_.heads * facts_.head_dim, facts_.kv_heads * facts_.head_dim,
                                 facts_.kv_heads * facts_.head_dim};
    const char* names[] = {"q_proj", "k_proj", "v_proj"};
    for (int i = 0; i < 3; ++i) {
      add(p + names[i] + ".weight", {rows[i], facts_.width}, Role::matrix);
      if (facts_.family == Family::qwen2) add(p + names[i] + ".bias", {rows[i]}, Role::bias);
    }
    add(p + "o_proj.weight", {facts_.width, rows[0]}, Role::residual);
    if (facts_.family == Family::qwen3 || facts_.family == Family::qwen3_moe) {
      add(p + "q_norm.weight", {facts_.head_dim}, Role::norm);
      add(p + "k_norm.weight", {facts_.head_dim}, Role::norm);
    }
  }

  void swiglu(const std::string& p, std::int64_t width) {
    add(p + "gate_proj.weight", {width, facts_.width}, Role::matrix);
    add(p + "up_proj.weight", {width, facts_.width}, Role::matrix);
    add(p + "down_proj.weight", {facts_.width, width}, Role::residual);
  }

  void moe(const std::string& p) {
    add(p + "gate.weight", {facts_.experts, facts_.width}, Role::router);
    if (facts_.routing_bias)
      add(p + "gate.e_score_correction_bias", {facts_.experts}, Role::routing_bias);
    for (std::int64_t e = 0; e < facts_.experts; ++e)
      swiglu(fmt::format("{}experts.{}.", p, e), facts_.expert_ffn);
    if (facts_.shared > 0) swiglu(p + "shared_experts.", facts_.shared * facts_.expert_ffn);
  }

  void layer(std::int64_t i) {
    const std::string p = fmt::format("model.layers.{}.", i);
    add(p + "input_layernorm.weight", {facts_.width}, Role::norm);
    facts_.is_mla() ? mla(p + "self_attn.") : gqa(p + "self_attn.");
    add(p + "post_attention_layernorm.weight", {facts_.width}, Role::norm);
    facts_.sparse[static_cast<std::size_t>(i)] ? moe(p + "mlp.") : swiglu(p + "mlp.", facts_.ffn);
  }

  // The MTP module shares embedding and head with the model (01-model, "MTP module").
  void mtp(std::int64_t i) {
    const std::string p = fmt::format("model.layers.{}.", i);
    add(p + "embed_tokens.weight", {facts_.vocabulary, facts_.width}, Role::embedding,
        "model.embed_tokens.weight");
    add(p + "enorm.weight", {facts_.width}, Role::norm);
    add(p + "hnorm.weight", {facts_.width}, Role::norm);
    add(p + "eh_proj.weight", {facts_.width, 2 * facts_.width}, Role::projection);
    layer(i);
    add(p + "shared_head.norm.weight", {facts_.width}, Role::norm);
    add(p + "shared_head.head.weight", {facts_.vocabulary, facts_.width}, Role::head,
        "lm_head.weight");
  }

  const Facts& facts_;
  std::vector<TensorSpec> specs_;
};

}  // namespace

std::vector<TensorSpec> list_tensors(const Facts& facts) {
  return Lister(facts).list();
}

Values::Stream Values::stream(const TensorSpec& spec) const {
  const auto fan_in = static_cast<double>(spec.shape.cols());
  double mean = 0, deviation = std_;
  switch (spec.role) {
    case Role::matrix:
    case Role::projection:
      break;
    // The residual grows by 2·L such sums; their spread keeps it near the size of one.
    case Role::residual:
      deviation = std_ / std::sqrt(2.0 * static_cast<double>(facts_.layers));
      break;
    // Logits get a deviation near 2: a peaked but not a certain choice.
    case Role::head:
      deviation = 2 / std::sqrt(fan_in);
      break;
    // Also where it is the head: a larger one would make the model repeat its input.
    case Role::embedding:
      break;
    case Role::router:
      deviation = 1 / std::sqrt(fan_in);
      break;
    case Role::norm:
      mean = 1, deviation = 0.1;
      break;
    case Role::routing_bias:
      deviation = 0.1;
      break;  // partly negative: selection paths are exercised
    case Role::bias:
      deviation = 0.1;
      break;
  }
  Stream stream;
  // A tensor's values depend on its name alone.
  stream.key_ = mix64(fnv1a(spec.values_of) ^ mix64(seed_ + 0x9e3779b97f4a7c15u));
  stream.mean_ = static_cast<float>(mean);
  // Four uniform 16-bit numbers: their sum has variance 4·(65536² − 1)/12.
  stream.step_ = static_cast<float>(deviation / std::sqrt(4.0 * (65536.0 * 65536.0 - 1) / 12));
  return stream;
}

inline float Values::Stream::at(std::uint64_t index) const {
  const std::uint64_t bits = mix64(key_ + index * 0x9e3779b97f4a7c15u);
  const std::uint64_t pairs = (bits & 0x0000ffff0000ffffu) + ((bits >> 16) & 0x0000ffff0000ffffu);
  const auto sum = static_cast<std::int32_t>((pairs & 0xffffffffu) + (pairs >> 32)) - 2 * 65535;
  return mean_ + step_ * static_cast<float>(sum);
}

void Values::Stream::row(std::int64_t row, std::int64_t columns, float* out) const {
  const auto first = static_cast<std::uint64_t>(row * columns);
  for (std::int64_t c = 0; c < columns; ++c) out[c] = at(first + static_cast<std::uint64_t>(c));
}

void Values::Stream::column(std::int64_t column, std::int64_t columns, std::int64_t first,
                            std::int64_t count, float* out) const {
  for (std::int64_t r = 0; r < count; ++r) {
    out[r] = at(static_cast<std::uint64_t>((first + r) * columns + column));
  }
}

}  // namespace nautile::make_model
