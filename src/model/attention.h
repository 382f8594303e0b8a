// attention.h — the two attentions: multi-head latent (DeepSeek) and grouped-query (Llama, Qwen).
#pragma once

#include "model/config.h"
#include "model/mla_choice.h"
#include "model/weights.h"
#include "ops/batch.h"
#include "ops/ops.h"

namespace nautile {

// The cached rows of one layer: where the batch's own rows are written and what its spans read.
struct LayerKv {
  Format format;
  std::vector<std::byte*> own;   // [T] row of each batch token
  std::vector<KvRows> sequence;  // [S]
};
// From batch.kv, or fresh rows in ctx.scratch when the batch is its own past.
LayerKv layer_kv(Context& ctx, const Batch& batch, int layer, int values, Format fresh_format);

struct AttentionContext {
  const AttentionConfig& config;
  const ops::RopeTable& rope;
  MlaForm form;
  Format kv_format;
};

// x [T, D] normalized -> [T, D]
Tensor mla_forward(Context& ctx, const AttentionContext& a, const MlaWeights& w, Tensor x,
                   const Batch& batch, int layer);
Tensor grouped_forward(Context& ctx, const AttentionContext& a, const GroupedWeights& w, float eps,
                       Tensor x, const Batch& batch, int layer);

}  // namespace nautile
