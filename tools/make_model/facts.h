// facts.h — Facts: the numbers of a config.json that decide which tensors a model has.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nautile::make_model {

enum class Family { deepseek_v2, deepseek_v3, llama, qwen2, qwen3, qwen3_moe };

// Rope scaling as config.json has it, in its old (rope_scaling) or new (rope_parameters) place.
struct Rope {
  double theta = 10000;
  std::string type;  // "" , "yarn", "llama3", "linear"
  nlohmann::json values = nlohmann::json::object();

  double number(const char* name, double fallback) const;
  bool has(const char* name) const { return values.contains(name) && values[name].is_number(); }
};

struct Facts {
  Family family = Family::llama;
  std::int64_t vocabulary = 0, width = 0, layers = 0, heads = 0, kv_heads = 0, head_dim = 0,
               ffn = 0, context = 0;
  double eps = 1e-6;
  bool tied = false;
  Rope rope;
  // MLA (DeepSeek)
  std::int64_t q_rank = 0, kv_rank = 0, nope = 0, rope_dim = 0, value_dim = 0;  // q_rank 0: none
  // MoE
  std::int64_t experts = 0, chosen = 0, expert_ffn = 0, shared = 0, groups = 0, kept_groups = 0,
               mtp_layers = 0;
  double routed_scale = 1.0;
  bool norm_weights = false, sigmoid = false, routing_bias = false;
  std::vector<bool> sparse;  // [layers + mtp_layers]: its feed-forward is a MoE
  nlohmann::json config;     // the whole file

  bool is_mla() const { return family == Family::deepseek_v2 || family == Family::deepseek_v3; }
  // Dense layers come first and all others are sparse; their count. None if they are mixed.
  std::optional<std::int64_t> leading_dense() const;
};

// Throws Error naming the key that is missing, of another type, out of range or not supported.
Facts read_facts(const std::string& config_path);

}  // namespace nautile::make_model
