// config.h — ModelConfig: the facts of a model in one vocabulary, whatever file they came from.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "backend/backend.h"

namespace nautile {

enum class AttentionKind : std::uint8_t { mla, grouped };

// Multi-head latent attention (DeepSeek-V2 report §2.1) or grouped-query attention.
struct AttentionConfig {
  AttentionKind kind = AttentionKind::grouped;
  int heads = 0;       // H
  int kv_heads = 0;    // grouped: heads that own keys and values
  int plain_dims = 0;  // N: query/key dims without position (grouped: 0)
  int rope_dims = 0;   // R: rotated dims (grouped: all of the head)
  int value_dims = 0;  // V
  int query_rank = 0;  // Q, 0: no query latent
  int kv_rank = 0;     // C
  float softmax_scale = 1;
  float latent_eps = 1e-6f;  // of the latent norms, not the blocks' (spec: both reference codes)
  enum class QkvBias : std::uint8_t { no, yes } bias = QkvBias::no;
  enum class HeadNorm : std::uint8_t { no, yes } head_norm = HeadNorm::no;  // Qwen3

  int key_dims() const { return plain_dims + rope_dims; }
  // Values cached per token and layer: [latent | rope key], or keys then values of all kv heads.
  int cached_values() const {
    return kind == AttentionKind::mla ? kv_rank + rope_dims : kv_heads * (key_dims() + value_dims);
  }
};

struct RopeConfig {
  enum class Scaling : std::uint8_t { none, linear, yarn, llama3 };
  float theta = 10000;
  Backend::RopeOrder order = Backend::RopeOrder::pairs;
  Scaling scaling = Scaling::none;
  float factor = 1;
  int original_context = 0;
  float beta_fast = 32, beta_slow = 1;          // yarn
  float amplitude = 1;                          // yarn: what cos and sin are multiplied with
  float low_frequency = 1, high_frequency = 4;  // llama3
  std::vector<float> divisors;                  // [R/2] from a GGUF's rope_freqs; empty: none
};

struct MoeConfig {
  RouteRule route;
  int width = 0;         // F of one expert
  int shared_width = 0;  // F of the shared expert, 0: none
  enum class RouterBias : std::uint8_t { no, yes } bias = RouterBias::no;
};

struct ModelConfig {
  std::string family;  // "deepseek_v3"
  int width = 0;       // D
  int layers = 0;      // L
  int vocabulary = 0;  // W
  int context = 0;     // longest position the model was made for
  int ffn_width = 0;   // F of the dense blocks
  float norm_eps = 1e-6f;
  enum class Head : std::uint8_t { own, tied } head = Head::own;  // tied: the embedding is the head
  AttentionConfig attention;
  RopeConfig rope;
  MoeConfig moe;
  std::vector<bool> is_moe;                                                             // [L]
  enum class F8Scales : std::uint8_t { any, powers_of_two } f8_scales = F8Scales::any;  // scale_fmt
  int mtp_layers = 0;  // multi-token-prediction modules in the checkpoint

  // Throws Error(bad_input) naming the first fact that cannot be.
  void validate() const;
};

// A number in YaRN's magnitude rule (transformers yarn_get_mscale): 1 for scale <= 1.
double yarn_mscale(double scale, double mscale);

}  // namespace nautile
