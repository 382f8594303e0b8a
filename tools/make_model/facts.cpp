#include "make_model/facts.h"

#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace nautile::make_model {
namespace {

using nlohmann::json;

constexpr std::int64_t kMost = std::int64_t{1} << 24;  // no extent of a model comes near

// Reads members of one config.json; null counts as absent.
class Reader {
 public:
  Reader(const json& object, const std::string& path) : object_(object), path_(path) {}

  const json* find(const char* name) const {
    const auto found = object_.find(name);
    return found == object_.end() || found->is_null() ? nullptr : &*found;
  }
  std::int64_t count(const char* name, std::optional<std::int64_t> fallback = {}) const {
    const json* value = find(name);
    if (!value && fallback) return *fallback;
    if (!value) fail(ErrorKind::bad_input, "{}: \"{}\" is missing", path_, name);
    if (!value->is_number_integer() || value->get<std::int64_t>() < 0 ||
        value->get<std::int64_t>() > kMost) {
      fail(ErrorKind::bad_input, "{}: \"{}\": expected an integer from 0 to {}, found {}", path_,
           name, kMost, value->dump().substr(0, 80));
    }
    return value->get<std::int64_t>();
  }
  std::int64_t positive(const char* name, std::optional<std::int64_t> fallback = {}) const {
    const std::int64_t value = count(name, fallback);
    if (value == 0)
      fail(ErrorKind::bad_input, "{}: \"{}\": expected a positive integer, found 0", path_, name);
    return value;
  }
  double number(const char* name, double fallback) const {
    const json* value = find(name);
    if (!value) return fallback;
    if (!value->is_number())
      fail(ErrorKind::bad_input, "{}: \"{}\": expected a number", path_, name);
    return value->get<double>();
  }
  bool truth(const char* name) const {
    const json* value = find(name);
    if (!value) return false;
    if (!value->is_boolean())
      fail(ErrorKind::bad_input, "{}: \"{}\": expected true or false", path_, name);
    return value->get<bool>();
  }
  std::string text(const char* name, const char* fallback) const {
    const json* value = find(name);
    return value && value->is_string() ? value->get<std::string>() : fallback;
  }

 private:
  const json& object_;
  const std::string& path_;
};

Family read_family(const Reader& config, const std::string& path) {
  const std::string type = config.text("model_type", "");
  if (type == "deepseek_v2") return Family::deepseek_v2;
  if (type == "deepseek_v3" || type == "kimi_k2") return Family::deepseek_v3;
  if (type == "llama") return Family::llama;
  if (type == "qwen2") return Family::qwen2;
  if (type == "qwen3") return Family::qwen3;
  if (type == "qwen3_moe") return Family::qwen3_moe;
  fail(ErrorKind::unsupported,
       "{}: \"model_type\": expected deepseek_v2, deepseek_v3, kimi_k2, llama, qwen2, qwen3 or "
       "qwen3_moe, found \"{}\"",
       path, type);
}

Rope read_rope(const Reader& config) {
  Rope rope;
  const json* values = config.find("rope_parameters");
  if (!values) values = config.find("rope_scaling");
  if (values && values->is_object()) rope.values = *values;
  rope.theta = config.number("rope_theta", rope.number("rope_theta", 10000));
  for (const char* name : {"type", "rope_type"}) {
    if (rope.values.contains(name) && rope.values[name].is_string())
      rope.type = rope.values[name].get<std::string>();
  }
  if (rope.type == "default") rope.type.clear();
  return rope;
}

void read_mla(const Reader& config, Facts& facts) {
  facts.q_rank = config.count("q_lora_rank", 0);
  facts.kv_rank = config.positive("kv_lora_rank");
  facts.nope = config.positive("qk_nope_head_dim");
  facts.rope_dim = config.positive("qk_rope_head_dim");
  facts.value_dim = config.positive("v_head_dim");
  facts.experts = config.count("n_routed_experts", 0);
  facts.shared = config.count("n_shared_experts", 0);
  facts.groups = config.count("n_group", 1);
  facts.kept_groups = config.count("topk_group", 1);
  facts.routed_scale = config.number("routed_scaling_factor", 1.0);
  facts.sigmoid =
      config.text("scoring_func", facts.family == Family::deepseek_v3 ? "sigmoid" : "softmax") ==
      "sigmoid";
  facts.routing_bias = facts.family == Family::deepseek_v3;
  facts.mtp_layers =
      facts.family == Family::deepseek_v3 ? config.count("num_nextn_predict_layers", 0) : 0;
  const std::int64_t dense = config.count("first_k_dense_replace", 0);
  const std::int64_t every = config.positive("moe_layer_freq", 1);
  for (std::int64_t i = 0; i < facts.layers + facts.mtp_layers; ++i) {
    facts.sparse.push_back(facts.experts > 0 && i >= dense && i % every == 0);
  }
}

void read_qwen3_moe(const Reader& config, Facts& facts) {
  facts.experts = config.positive("num_experts");
  const std::int64_t step = config.positive("decoder_sparse_step", 1);
  std::vector<std::int64_t> dense;
  if (const json* only = config.find("mlp_only_layers"); only && only->is_array()) {
    for (const json& layer : *only)
      dense.push_back(layer.is_number_integer() ? layer.get<std::int64_t>() : -1);
  }
  for (std::int64_t i = 0; i < facts.layers; ++i) {
    facts.sparse.push_back((i + 1) % step == 0 &&
                           std::find(dense.begin(), dense.end(), i) == dense.end());
  }
}

}  // namespace

double Rope::number(const char* name, double fallback) const {
  return has(name) ? values[name].get<double>() : fallback;
}

std::optional<std::int64_t> Facts::leading_dense() const {
  const auto main_end = sparse.begin() + layers;
  const auto first = std::find(sparse.begin(), main_end, true);
  if (std::find(first, main_end, false) != main_end) return std::nullopt;
  return first - sparse.begin();
}

Facts read_facts(const std::string& config_path) {
  Facts facts;
  facts.config = parse_json(read_file(config_path), config_path);
  if (!facts.config.is_object())
    fail(ErrorKind::bad_input, "{}: expected a JSON object", config_path);
  const Reader config(facts.config, config_path);
  facts.family = read_family(config, config_path);
  facts.vocabulary = config.positive("vocab_size");
  facts.width = config.positive("hidden_size");
  facts.layers = config.positive("num_hidden_layers");
  facts.heads = config.positive("num_attention_heads");
  facts.kv_heads = config.positive("num_key_value_heads", facts.heads);
  facts.head_dim = config.positive("head_dim", facts.width / facts.heads);
  facts.ffn = config.positive("intermediate_size");
  facts.context = config.positive("max_position_embeddings", 4096);
  facts.eps = config.number("rms_norm_eps", 1e-6);
  facts.tied = config.truth("tie_word_embeddings");
  facts.rope = read_rope(config);
  facts.norm_weights = config.truth("norm_topk_prob");
  if (facts.is_mla()) {
    read_mla(config, facts);
  } else if (facts.family == Family::qwen3_moe) {
    read_qwen3_moe(config, facts);
  } else {
    facts.sparse.assign(static_cast<std::size_t>(facts.layers), false);
  }
  if (facts.experts > 0) {
    facts.chosen = config.positive("num_experts_per_tok");
    facts.expert_ffn = config.positive("moe_intermediate_size");
  }
  // Qwen2's q, k and v always have a bias, which no key says; a key that adds others is not
  // covered.
  if (config.truth("attention_bias") || config.truth("mlp_bias")) {
    fail(ErrorKind::unsupported,
         "{}: \"attention_bias\" or \"mlp_bias\" is true; only false is made", config_path);
  }
  return facts;
}

}  // namespace nautile::make_model
