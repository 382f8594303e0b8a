// common.cpp — what Llama-like config files have in common, and rope scaling.
#include <algorithm>

#include "model/families/hf_facts.h"
#include "model/family.h"

namespace nautile {
namespace {

// Half-split rotation for Hugging Face's Llama and Qwen checkpoints.
void grouped_heads(AttentionConfig& a, int heads, int kv_heads, int head_dims) {
  a.kind = AttentionKind::grouped;
  a.heads = heads;
  a.kv_heads = kv_heads;
  a.rope_dims = a.value_dims = head_dims;
  a.softmax_scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(head_dims)));
}

void read_llama3(const HfFacts& s, RopeConfig& rope) {
  rope.scaling = RopeConfig::Scaling::llama3;
  rope.factor = static_cast<float>(s.number("factor"));
  rope.low_frequency = static_cast<float>(s.number("low_freq_factor"));
  rope.high_frequency = static_cast<float>(s.number("high_freq_factor"));
  rope.original_context = s.size("original_max_position_embeddings");
}

// transformers' _compute_yarn_parameters: the amplitude is the ratio of the two magnitudes, or the
// plain one without them; the softmax factor is DeepSeek's own (modeling_deepseek).
double read_yarn(const HfFacts& s, ModelConfig& config) {
  RopeConfig& rope = config.rope;
  rope.scaling = RopeConfig::Scaling::yarn;
  const double factor = s.number("factor");
  rope.factor = static_cast<float>(factor);
  rope.original_context = s.size_or("original_max_position_embeddings", config.context);
  rope.beta_fast = static_cast<float>(s.number_or("beta_fast", 32));
  rope.beta_slow = static_cast<float>(s.number_or("beta_slow", 1));
  const double mscale = s.number_or("mscale", 0), all = s.number_or("mscale_all_dim", 0);
  double amplitude = yarn_mscale(factor, 1);
  if (mscale != 0 && all != 0) amplitude = yarn_mscale(factor, mscale) / yarn_mscale(factor, all);
  rope.amplitude = static_cast<float>(s.number_or("attention_factor", amplitude));
  return all != 0 ? yarn_mscale(factor, all) * yarn_mscale(factor, all) : 1.0;
}

}  // namespace

double read_rope_scaling(const HfFacts& facts, ModelConfig& config) {
  const char* key = facts.find("rope_parameters") ? "rope_parameters" : "rope_scaling";
  config.rope.theta = static_cast<float>(facts.number_or("rope_theta", 10000));
  if (!facts.find(key)) return 1;
  const HfFacts scaling = facts.object(key);
  config.rope.theta =
      static_cast<float>(scaling.number_or("rope_theta", static_cast<double>(config.rope.theta)));
  const std::string kind = scaling.text_or("rope_type", scaling.text_or("type", "default"));
  if (kind == "default") return 1;
  if (kind == "linear") {
    config.rope.scaling = RopeConfig::Scaling::linear;
    config.rope.factor = static_cast<float>(scaling.number("factor"));
    return 1;
  }
  if (kind == "llama3") {
    read_llama3(scaling, config.rope);
    return 1;
  }
  if (kind == "yarn") return read_yarn(scaling, config);
  fail(ErrorKind::unsupported,
       "config.json{}: rope type '{}' is not known: expected default, linear, llama3 or yarn",
       scaling.place(), kind);
}

ModelConfig common_hf(const HfFacts& facts, std::string_view family) {
  ModelConfig c;
  c.family = family;
  c.width = facts.size("hidden_size");
  c.layers = static_cast<int>(facts.integer("num_hidden_layers", 1, 4096));
  c.vocabulary = facts.size("vocab_size");
  c.context = static_cast<int>(facts.integer_or("max_position_embeddings", 2048, 1, 1 << 30));
  c.ffn_width = facts.size_or("intermediate_size", 0);
  c.norm_eps = static_cast<float>(facts.number_or("rms_norm_eps", 1e-6));
  c.head = facts.flag_or("tie_word_embeddings", false) ? ModelConfig::Head::tied
                                                       : ModelConfig::Head::own;
  c.is_moe.assign(static_cast<std::size_t>(c.layers), false);
  const std::string act = facts.text_or("hidden_act", "silu");
  if (act != "silu")
    fail(ErrorKind::unsupported, "config.json: hidden_act '{}': expected silu", act);
  const int heads = facts.size("num_attention_heads");
  const int head_dims = facts.size_or("head_dim", c.width / heads);
  grouped_heads(c.attention, heads, facts.size_or("num_key_value_heads", heads), head_dims);
  c.rope.order = Backend::RopeOrder::halves;
  read_rope_scaling(facts, c);
  return c;
}

ModelConfig common_gguf(const store::GgufFile& file, std::string_view family) {
  const std::string a = file.architecture() + ".";
  ModelConfig c;
  c.family = family;
  const auto number = [&](const char* key) {
    return static_cast<int>(std::min<std::uint32_t>(file.u32(a + key), 1u << 30));
  };
  c.width = number("embedding_length");
  c.layers = number("block_count");
  NAUTILE_CHECK(c.layers >= 1 && c.layers <= 4096, "{}block_count is {}: expected 1 to 4096", a,
                c.layers);
  c.context = number("context_length");
  c.ffn_width = static_cast<int>(file.optional_u32(a + "feed_forward_length").value_or(0));
  c.norm_eps = file.f32(a + "attention.layer_norm_rms_epsilon");
  c.is_moe.assign(static_cast<std::size_t>(c.layers), false);
  c.rope.theta = file.optional_f32(a + "rope.freq_base").value_or(10000.0f);
  const auto tokens = static_cast<std::uint32_t>(file.strings("tokenizer.ggml.tokens").size());
  c.vocabulary = static_cast<int>(file.optional_u32(a + "vocab_size").value_or(tokens));
  const int heads = number("attention.head_count");
  NAUTILE_CHECK(heads >= 1, "{}attention.head_count is {}", a, heads);
  const int head_dims =
      static_cast<int>(file.optional_u32(a + "attention.key_length")
                           .value_or(static_cast<std::uint32_t>(c.width / heads)));
  const int kv_heads = static_cast<int>(
      file.optional_u32(a + "attention.head_count_kv").value_or(static_cast<std::uint32_t>(heads)));
  grouped_heads(c.attention, heads, kv_heads, head_dims);
  c.attention.value_dims = static_cast<int>(file.optional_u32(a + "attention.value_length")
                                                .value_or(static_cast<std::uint32_t>(head_dims)));
  const std::string scaling = file.optional_string(a + "rope.scaling.type").value_or("none");
  if (scaling == "linear") {
    c.rope.scaling = RopeConfig::Scaling::linear;
    c.rope.factor = file.f32(a + "rope.scaling.factor");
  } else if (scaling == "yarn") {
    c.rope.scaling = RopeConfig::Scaling::yarn;
    c.rope.factor = file.f32(a + "rope.scaling.factor");
    c.rope.original_context =
        static_cast<int>(file.optional_u32(a + "rope.scaling.original_context_length")
                             .value_or(static_cast<std::uint32_t>(c.context)));
    c.rope.beta_fast = file.optional_f32(a + "rope.scaling.yarn_beta_fast").value_or(32.0f);
    c.rope.beta_slow = file.optional_f32(a + "rope.scaling.yarn_beta_slow").value_or(1.0f);
    c.rope.amplitude = static_cast<float>(yarn_mscale(static_cast<double>(c.rope.factor), 1));
  } else if (scaling != "none") {
    fail(ErrorKind::unsupported,
         "{}rope.scaling.type '{}' is not known: expected none, linear or yarn", a, scaling);
  }
  return c;
}

std::span<const Family* const> families() {
  static const Family* const kAll[] = {&kDeepSeek, &kLlama, &kQwen};
  return kAll;
}

namespace {

bool lists(std::string_view names, std::string_view wanted) {
  while (!names.empty()) {
    const std::size_t end = std::min(names.find(' '), names.size());
    if (names.substr(0, end) == wanted) return true;
    names.remove_prefix(std::min(end + 1, names.size()));
  }
  return false;
}

const Family& family_of(std::string_view wanted, std::string_view Family::*names,
                        std::string_view what) {
  std::string known;
  for (const Family* family : families()) {
    if (lists(family->*names, wanted)) return *family;
    known += (known.empty() ? "" : " ") + std::string(family->*names);
  }
  fail(ErrorKind::unsupported, "{} '{}' is not known: expected one of {}", what, wanted, known);
}

}  // namespace

const Family& family_of_hf(std::string_view model_type) {
  return family_of(model_type, &Family::hf_types, "config.json: model_type");
}
const Family& family_of_gguf(std::string_view architecture) {
  return family_of(architecture, &Family::gguf_architectures, "general.architecture");
}

}  // namespace nautile
