// ffn.h — the two feed-forwards: dense SwiGLU and DeepSeekMoE.
#pragma once

#include "model/config.h"
#include "model/weights.h"
#include "ops/ops.h"

namespace nautile {

// down(silu(gate(x))·up(x)), x [T, D] -> [T, D]
Tensor dense_forward(Context& ctx, const FfnWeights& w, Tensor x);

// What training adds to a mixture: the sequence-wise balance loss over packed rows [B+1], counted
// balance_alpha times (0: none), and who is told its value.
using BalanceWatch = std::function<void(int layer, float loss)>;
struct MoeTraining {
  float balance_alpha = 0;
  std::span<const std::int32_t> rows;
  const BalanceWatch* watch = nullptr;
};

// Σ_k weight_k·expert_k(x) + shared(x), x [T, D] -> [T, D]. No capacity, no token is dropped
// (DeepSeek-V3 report §2.1.2). `watch`, if given, sees the routing.
using RoutingWatch = std::function<void(int layer, const ops::Routing&)>;
Tensor moe_forward(Context& ctx, const MoeConfig& config, const MoeWeights& w, Tensor x, int layer,
                   const RoutingWatch& watch, const MoeTraining& training = {});

}  // namespace nautile
