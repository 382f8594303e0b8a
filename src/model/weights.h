// weights.h — the weights of a model, listed once: visit() names every one with its shape and role.
//
// Loader, saver, initialiser, optimizer, quantizer and inspect are readers of this one list.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "model/config.h"
#include "tensor/weight.h"

namespace nautile {

enum class Role : std::uint8_t { embedding, matrix, head, norm, bias, router, router_bias };

// A weight of the model. 1-D ones (norm gains, biases) are also held as F32, owned here, because
// the ops take them so.
struct Slot {
  Weight weight;
  std::vector<float> values;  // [n] for roles norm, bias and router_bias

  bool present() const { return weight.present(); }
  const float* floats() const { return values.empty() ? nullptr : values.data(); }
  Vector vector() const { return {floats(), weight.param}; }
};

// What visit() tells of a weight. Names are canonical: "layers.3.attention.query_down".
struct SlotInfo {
  std::string name;
  Shape shape;
  Role role;
  enum class Need : std::uint8_t { required, optional } need = Need::required;
  int expert = -1;  // whose a routed expert's weight is
};
using Visitor = std::function<void(const SlotInfo&, Slot&)>;

// MLA. The checkpoint has kv_up [H·(N+V), C] (Hugging Face) or key_up [H, C, N] and value_up [H, V,
// C] (llama.cpp); one of the two forms is present.
struct MlaWeights {
  Slot query;                             // [H·(N+R), D] without a query latent
  Slot query_down, query_norm, query_up;  // [Q, D], [Q], [H·(N+R), Q] with one
  Slot kv_down, kv_norm;                  // [C+R, D], [C]
  Slot kv_up, key_up, value_up;
  Slot output;  // [D, H·V]
};

struct GroupedWeights {
  Slot query, key, value, output;         // [H·R, D], [Hkv·R, D], [Hkv·V, D], [D, H·V]
  Slot query_bias, key_bias, value_bias;  // Qwen2
  Slot query_head_norm, key_head_norm;    // [R], Qwen3
};

struct FfnWeights {
  Slot gate, up, down;  // [F, D], [F, D], [D, F]
};

struct MoeWeights {
  Slot router, router_bias;         // [E, D], [E]
  std::vector<FfnWeights> experts;  // [E]
  FfnWeights shared;
};

struct BlockWeights {
  Slot attention_norm, ffn_norm;  // [D]
  MlaWeights mla;
  GroupedWeights grouped;
  FfnWeights dense;
  MoeWeights moe;
  bool is_moe = false;
};

// One multi-token-prediction module (DeepSeek-V3 report §2.2).
struct MtpWeights {
  Slot embedding_norm, hidden_norm;  // [D]; checkpoints: enorm, hnorm
  Slot join;                         // [D, 2·D] over [embedding ; hidden]
  BlockWeights block;
  Slot output_norm;  // [D]
};

struct ModelWeights {
  Slot embedding;  // [W, D]
  std::vector<BlockWeights> blocks;
  Slot output_norm;  // [D]
  Slot head;         // [W, D]; absent when tied
  std::vector<MtpWeights> mtp;

  explicit ModelWeights(const ModelConfig& config);
  // Every weight the config calls for, in the order of the forward pass.
  void visit(const ModelConfig& config, const Visitor& f);
};

}  // namespace nautile
