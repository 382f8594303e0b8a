#include "make_model/gguf_plan.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <map>
#include <numbers>
#include <set>

#include "base/error.h"

namespace nautile::make_model {
namespace {

// The format to use when a row is not made of whole blocks: the one of like size with blocks of 32
// (as llama.cpp's quantizer falls back), and BF16 where not even those fit.
Format fallback(Format format) {
  switch (format) {
    case Format::q2_k:
    case Format::q3_k:
    case Format::iq4_xs:
      return Format::iq4_nl;
    case Format::q4_k:
      return Format::q5_0;
    case Format::q5_k:
      return Format::q5_1;
    case Format::q6_k:
      return Format::q8_0;
    default:
      return Format::bf16;
  }
}

bool whole_blocks(Format format, std::int64_t columns) {
  return columns % info(format).block == 0;
}

// Bits per weight, for "coarser than Q6_K".
double bits(Format format) {
  return 8.0 * info(format).block_bytes / info(format).block;
}

class Planner {
 public:
  Planner(const Facts& facts, const Options& options)
      : facts_(facts), options_(options), values_(facts, options.seed, options.std) {
    for (TensorSpec& spec : list_tensors(facts)) {
      std::string name = spec.name;
      specs_.emplace(std::move(name), std::move(spec));
    }
  }

  std::vector<GgufTensor> plan() {
    rope_divisors();
    plain("token_embd.weight", "model.embed_tokens.weight");
    for (std::int64_t i = 0; i < facts_.layers; ++i) layer(i);
    plain("output_norm.weight", "model.norm.weight");
    if (!facts_.tied) plain("output.weight", "lm_head.weight");
    if (options_.mtp == Mtp::include) {
      for (std::int64_t i = facts_.layers; i < facts_.layers + facts_.mtp_layers; ++i) mtp(i);
    }
    for (const auto& [what, rows] : fallbacks_)
      std::fprintf(stderr, "make_model: %s\n", what.c_str());
    return std::move(tensors_);
  }

 private:
  const TensorSpec& spec(const std::string& name) const {
    const auto found = specs_.find(name);
    NAUTILE_ASSERT(found != specs_.end(), "no tensor {}", name);
    return found->second;
  }

  Format format(Role role, std::int64_t columns) {
    if (role == Role::norm || role == Role::bias || role == Role::router ||
        role == Role::routing_bias)
      return Format::f32;
    Format chosen = options_.format;
    const bool is_head = role == Role::head || (role == Role::embedding && facts_.tied);
    if (is_head && bits(chosen) < bits(Format::q6_k)) chosen = Format::q6_k;
    const Format wanted = chosen;
    while (!whole_blocks(chosen, columns)) chosen = fallback(chosen);
    if (chosen != wanted) {
      ++fallbacks_[fmt::format("rows of {} are not whole blocks of {}: {} instead", columns,
                               info(wanted).name, info(chosen).name)];
    }
    return chosen;
  }

  void add(const std::string& name, Role role, Shape shape, FillRow fill) {
    tensors_.push_back({{name, format(role, shape.cols()), shape}, std::move(fill)});
  }

  void plain(const std::string& name, const std::string& source) {
    const TensorSpec& from = spec(source);
    const std::int64_t columns = from.shape.cols();
    add(name, from.role, from.shape,
        [stream = values_.stream(from), columns](std::int64_t row, float* out) {
          stream.row(row, columns, out);
        });
  }

  // Llama's q and k: rows of a head from halves [2, hd/2] to pairs [hd/2, 2].
  void interleaved(const std::string& name, const std::string& source, std::int64_t heads) {
    const TensorSpec& from = spec(source);
    const std::int64_t columns = from.shape.cols(), head = from.shape[0] / heads;
    add(name, from.role, from.shape,
        [stream = values_.stream(from), columns, head](std::int64_t row, float* out) {
          const std::int64_t inside = row % head;
          stream.row(row - inside + inside % 2 * (head / 2) + inside / 2, columns, out);
        });
  }

  // Experts one after another: [E, out, in].
  void stacked(const std::string& name, const std::string& layer, const std::string& tail) {
    std::vector<Values::Stream> streams;
    for (std::int64_t e = 0; e < facts_.experts; ++e) {
      streams.push_back(values_.stream(spec(fmt::format("{}mlp.experts.{}.{}", layer, e, tail))));
    }
    const TensorSpec& first = spec(fmt::format("{}mlp.experts.0.{}", layer, tail));
    const std::int64_t rows = first.shape[0], columns = first.shape[1];
    add(name, first.role, {facts_.experts, rows, columns},
        [streams = std::move(streams), rows, columns](std::int64_t row, float* out) {
          streams[static_cast<std::size_t>(row / rows)].row(row % rows, columns, out);
        });
  }

  // kv_b [H·(nope + value), C]: its key part transposed per head [H, C, nope], its value part [H,
  // value, C].
  void latent_up(const std::string& name, const std::string& source) {
    if (options_.mla == MlaTensors::legacy) return plain(name + "attn_kv_b.weight", source);
    const TensorSpec& from = spec(source);
    const Values::Stream stream = values_.stream(from);
    const std::int64_t rank = facts_.kv_rank, nope = facts_.nope, value = facts_.value_dim,
                       head = nope + value;
    add(name + "attn_k_b.weight", from.role, {facts_.heads, rank, nope},
        [=](std::int64_t row, float* out) {
          stream.column(row % rank, rank, row / rank * head, nope, out);
        });
    add(name + "attn_v_b.weight", from.role, {facts_.heads, value, rank},
        [=](std::int64_t row, float* out) {
          stream.row(row / value * head + nope + row % value, rank, out);
        });
  }

  void mla(const std::string& to, const std::string& from) {
    if (facts_.q_rank > 0) {
      plain(to + "attn_q_a.weight", from + "q_a_proj.weight");
      plain(to + "attn_q_a_norm.weight", from + "q_a_layernorm.weight");
      plain(to + "attn_q_b.weight", from + "q_b_proj.weight");
    } else {
      plain(to + "attn_q.weight", from + "q_proj.weight");
    }
    plain(to + "attn_kv_a_mqa.weight", from + "kv_a_proj_with_mqa.weight");
    plain(to + "attn_kv_a_norm.weight", from + "kv_a_layernorm.weight");
    latent_up(to, from + "kv_b_proj.weight");
    plain(to + "attn_output.weight", from + "o_proj.weight");
  }

  void gqa(const std::string& to, const std::string& from) {
    for (const char* part : {"q", "k", "v"}) {
      const std::string target = fmt::format("{}attn_{}", to, part),
                        source = fmt::format("{}{}_proj", from, part);
      if (facts_.family == Family::llama && *part != 'v') {
        interleaved(target + ".weight", source + ".weight",
                    *part == 'q' ? facts_.heads : facts_.kv_heads);
      } else {
        plain(target + ".weight", source + ".weight");
      }
      if (specs_.contains(source + ".bias")) plain(target + ".bias", source + ".bias");
      if (specs_.contains(fmt::format("{}{}_norm.weight", from, part))) {
        plain(target + "_norm.weight", fmt::format("{}{}_norm.weight", from, part));
      }
    }
    plain(to + "attn_output.weight", from + "o_proj.weight");
  }

  void feed_forward(const std::string& to, const std::string& from, const std::string& suffix) {
    for (const char* part : {"gate", "up", "down"}) {
      plain(fmt::format("{}ffn_{}{}.weight", to, part, suffix),
            fmt::format("{}{}_proj.weight", from, part));
    }
  }

  void layer(std::int64_t i) {
    const std::string to = fmt::format("blk.{}.", i), from = fmt::format("model.layers.{}.", i);
    plain(to + "attn_norm.weight", from + "input_layernorm.weight");
    facts_.is_mla() ? mla(to, from + "self_attn.") : gqa(to, from + "self_attn.");
    plain(to + "ffn_norm.weight", from + "post_attention_layernorm.weight");
    if (!facts_.sparse[static_cast<std::size_t>(i)]) return feed_forward(to, from + "mlp.", "");
    plain(to + "ffn_gate_inp.weight", from + "mlp.gate.weight");
    if (facts_.routing_bias)
      plain(to + "exp_probs_b.bias", from + "mlp.gate.e_score_correction_bias");
    for (const char* part : {"gate", "up", "down"}) {
      stacked(fmt::format("{}ffn_{}_exps.weight", to, part), from,
              fmt::format("{}_proj.weight", part));
    }
    if (facts_.shared > 0) feed_forward(to, from + "mlp.shared_experts.", "_shexp");
  }

  void mtp(std::int64_t i) {
    const std::string to = fmt::format("blk.{}.nextn.", i),
                      from = fmt::format("model.layers.{}.", i);
    layer(i);
    plain(to + "eh_proj.weight", from + "eh_proj.weight");
    plain(to + "embed_tokens.weight", from + "embed_tokens.weight");
    plain(to + "enorm.weight", from + "enorm.weight");
    plain(to + "hnorm.weight", from + "hnorm.weight");
    plain(to + "shared_head_head.weight", from + "shared_head.head.weight");
    plain(to + "shared_head_norm.weight", from + "shared_head.norm.weight");
  }

  // llama3 scaling as divisors of the frequencies (spec 01 §7, "Dense math").
  void rope_divisors() {
    if (facts_.rope.type != "llama3") return;
    const Rope& rope = facts_.rope;
    const double factor = rope.number("factor", 8), low = rope.number("low_freq_factor", 1),
                 high = rope.number("high_freq_factor", 4),
                 original = rope.number("original_max_position_embeddings", 8192);
    std::vector<float> divisors;
    for (std::int64_t i = 0; i < facts_.head_dim / 2; ++i) {
      const double wave =
          2 * std::numbers::pi *
          std::pow(rope.theta, 2.0 * static_cast<double>(i) / static_cast<double>(facts_.head_dim));
      double divisor = 1;
      if (wave > original / low) {
        divisor = factor;
      } else if (wave > original / high) {
        const double smooth = (original / wave - low) / (high - low);
        divisor = 1 / ((1 - smooth) / factor + smooth);
      }
      divisors.push_back(static_cast<float>(divisor));
    }
    const Shape shape{std::ssize(divisors)};
    add("rope_freqs.weight", Role::norm, shape,
        [divisors = std::move(divisors)](std::int64_t, float* out) {
          std::copy(divisors.begin(), divisors.end(), out);
        });
  }

  const Facts& facts_;
  const Options& options_;
  Values values_;
  std::map<std::string, TensorSpec, std::less<>> specs_;
  std::vector<GgufTensor> tensors_;
  std::map<std::string, int> fallbacks_;
};

// llama.cpp's numbers of file types (spec 03 §2).
std::uint32_t file_type(Format format) {
  switch (format) {
    case Format::f32:
      return 0;
    case Format::f16:
      return 1;
    case Format::q4_0:
      return 2;
    case Format::q4_1:
      return 3;
    case Format::q8_0:
      return 7;
    case Format::q5_0:
      return 8;
    case Format::q5_1:
      return 9;
    case Format::q2_k:
      return 10;
    case Format::q3_k:
      return 11;
    case Format::q4_k:
      return 14;
    case Format::q5_k:
      return 16;
    case Format::q6_k:
      return 18;
    case Format::iq4_nl:
      return 25;
    case Format::iq4_xs:
      return 30;
    default:
      return 32;
  }
}

std::uint32_t u32(std::int64_t value) {
  return static_cast<std::uint32_t>(value);
}

void mla_metadata(const Facts& facts, const Options& options, store::GgufMetadata& out) {
  const std::string a = "deepseek2.";
  const bool split = options.mla == MlaTensors::split;
  const std::int64_t key = facts.nope + facts.rope_dim;
  // llama.cpp asks for q_lora_rank unless the model has 26 or 27 layers, as V2-Lite; 0 is "none".
  if (facts.q_rank > 0 || (facts.layers != 26 && facts.layers != 27))
    out.u32(a + "attention.q_lora_rank", u32(facts.q_rank));
  if (facts.q_rank > 0 && (facts.layers == 26 || facts.layers == 27)) {
    std::fputs("make_model: llama.cpp takes 26 or 27 layers for V2-Lite and will not find attn_q\n",
               stderr);
  }
  out.u32(a + "attention.kv_lora_rank", u32(facts.kv_rank));
  out.u32(a + "attention.key_length", u32(split ? facts.kv_rank + facts.rope_dim : key));
  out.u32(a + "attention.value_length", u32(split ? facts.kv_rank : facts.value_dim));
  if (split) {
    out.u32(a + "attention.key_length_mla", u32(key));
    out.u32(a + "attention.value_length_mla", u32(facts.value_dim));
  }
  out.u32(a + "rope.dimension_count", u32(facts.rope_dim));
  out.u32(a + "leading_dense_block_count", u32(*facts.leading_dense()));
  out.u32(a + "expert_shared_count", u32(facts.shared));
  out.f32(a + "expert_weights_scale", static_cast<float>(facts.routed_scale));
  out.boolean(a + "expert_weights_norm", facts.norm_weights);
  out.u32(a + "expert_gating_func", facts.sigmoid ? 2 : 1);
  if (facts.groups > 1) {
    out.u32(a + "expert_group_count", u32(facts.groups));
    out.u32(a + "expert_group_used_count", u32(facts.kept_groups));
  }
  if (options.mtp == Mtp::include && facts.mtp_layers > 0)
    out.u32(a + "nextn_predict_layers", u32(facts.mtp_layers));
}

void rope_metadata(const Facts& facts, const std::string& a, store::GgufMetadata& out) {
  out.f32(a + "rope.freq_base", static_cast<float>(facts.rope.theta));
  if (facts.rope.type != "yarn" && facts.rope.type != "linear") return;
  out.string(a + "rope.scaling.type", facts.rope.type);
  out.f32(a + "rope.scaling.factor", static_cast<float>(facts.rope.number("factor", 1)));
  if (facts.rope.type != "yarn") return;
  out.u32(a + "rope.scaling.original_context_length",
          static_cast<std::uint32_t>(facts.rope.number("original_max_position_embeddings",
                                                       static_cast<double>(facts.context))));
  if (facts.rope.has("beta_fast"))
    out.f32(a + "rope.scaling.yarn_beta_fast",
            static_cast<float>(facts.rope.number("beta_fast", 32)));
  if (facts.rope.has("beta_slow"))
    out.f32(a + "rope.scaling.yarn_beta_slow",
            static_cast<float>(facts.rope.number("beta_slow", 1)));
  if (facts.rope.has("mscale_all_dim")) {
    out.f32(a + "rope.scaling.yarn_log_multiplier",
            static_cast<float>(0.1 * facts.rope.number("mscale_all_dim", 0)));
  }
}

}  // namespace

std::string architecture(Family family) {
  switch (family) {
    case Family::deepseek_v2:
    case Family::deepseek_v3:
      return "deepseek2";
    case Family::llama:
      return "llama";
    case Family::qwen2:
      return "qwen2";
    case Family::qwen3:
      return "qwen3";
    case Family::qwen3_moe:
      return "qwen3moe";
  }
  return {};
}

std::vector<GgufTensor> plan_gguf(const Facts& facts, const Options& options) {
  if (!facts.leading_dense() || (facts.family == Family::qwen3_moe && *facts.leading_dense() > 0)) {
    fail(ErrorKind::unsupported, "GGUF has no way to say which layers of this model are dense");
  }
  return Planner(facts, options).plan();
}

store::GgufMetadata model_metadata(const Facts& facts, const Options& options) {
  store::GgufMetadata out;
  const std::string arch = architecture(facts.family), a = arch + ".";
  const bool with_mtp = options.mtp == Mtp::include;
  out.string("general.architecture", arch);
  out.string("general.type", "model");
  out.string("general.name", fmt::format("random {} (seed {})",
                                         facts.config.value("model_type", ""), options.seed));
  out.u32("general.file_type", file_type(options.format));
  out.u32("general.quantization_version", 2);
  out.u32(a + "vocab_size", u32(facts.vocabulary));
  out.u32(a + "context_length", u32(facts.context));
  out.u32(a + "embedding_length", u32(facts.width));
  out.u32(a + "block_count", u32(facts.layers + (with_mtp ? facts.mtp_layers : 0)));
  out.u32(a + "feed_forward_length", u32(facts.ffn));
  out.u32(a + "attention.head_count", u32(facts.heads));
  const bool as_mqa = facts.is_mla() && options.mla == MlaTensors::split;
  out.u32(a + "attention.head_count_kv", u32(as_mqa           ? 1
                                             : facts.is_mla() ? facts.heads
                                                              : facts.kv_heads));
  out.f32(a + "attention.layer_norm_rms_epsilon", static_cast<float>(facts.eps));
  rope_metadata(facts, a, out);
  if (facts.experts > 0) {
    out.u32(a + "expert_count", u32(facts.experts));
    out.u32(a + "expert_used_count", u32(facts.chosen));
    out.u32(a + "expert_feed_forward_length", u32(facts.expert_ffn));
  }
  if (facts.is_mla()) {
    mla_metadata(facts, options, out);
  } else {
    out.u32(a + "attention.key_length", u32(facts.head_dim));
    out.u32(a + "attention.value_length", u32(facts.head_dim));
    out.u32(a + "rope.dimension_count", u32(facts.head_dim));
  }
  return out;
}

}  // namespace nautile::make_model
