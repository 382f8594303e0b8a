#include "model/model.h"

#include "model/rope_table.h"

namespace nautile {

Model::Model(ModelConfig config, ModelWeights weights, const ModelOptions& options)
    : config_(std::move(config)), weights_(std::move(weights)), options_(options) {
  if (options_.context <= 0) options_.context = config_.context;
  rope_ = make_rope_table(config_.rope, config_.attention.rope_dims, options_.context);
}

Tensor Model::block(Context& ctx, const BlockWeights& w, Tensor x, const Batch& batch, int layer,
                    const ModelWatch& watch) const {
  const AttentionContext attention{config_.attention, rope_, options_.mla, options_.kv_format};
  const Tensor normed = ops::rms_norm(ctx, x, w.attention_norm.vector(), config_.norm_eps);
  x = ops::add(
      ctx, x,
      config_.attention.kind == AttentionKind::mla
          ? mla_forward(ctx, attention, w.mla, normed, batch, layer)
          : grouped_forward(ctx, attention, w.grouped, config_.norm_eps, normed, batch, layer));
  const Tensor ffn_in = ops::rms_norm(ctx, x, w.ffn_norm.vector(), config_.norm_eps);
  return ops::add(ctx, x,
                  w.is_moe ? moe_forward(ctx, config_.moe, w.moe, ffn_in, layer, watch.routing,
                                         {options_.balance_alpha, batch.packed, &watch.balance})
                           : dense_forward(ctx, w.dense, ffn_in));
}

Tensor Model::hidden(Context& ctx, const Batch& batch, const ModelWatch& watch) const {
  Tensor x = ops::embed(ctx, weights_.embedding.weight, batch.tokens);
  for (int layer = 0; layer < config_.layers; ++layer) {
    const BlockWeights& w = weights_.blocks[static_cast<std::size_t>(layer)];
    x = ops::recompute(ctx, x, [this, &w, batch, layer, watch](Context& inner, Tensor in) {
      return block(inner, w, in, batch, layer, watch);
    });
    if (watch.block) watch.block(layer, x);
  }
  return x;
}

Tensor Model::final_norm(Context& ctx, Tensor hidden) const {
  return ops::rms_norm(ctx, hidden, weights_.output_norm.vector(), config_.norm_eps);
}

const Weight& Model::head() const {
  return config_.head == ModelConfig::Head::own ? weights_.head.weight : weights_.embedding.weight;
}

Tensor Model::logits(Context& ctx, Tensor hidden) const {
  return ops::linear(ctx, final_norm(ctx, hidden), head());
}

Tensor Model::mtp_hidden(Context& ctx, std::size_t index, Tensor normed_hidden, const Batch& next,
                         const ModelWatch& watch) const {
  const MtpWeights& w = weights_.mtp[index];
  const Tensor embedded =
      ops::rms_norm(ctx, ops::embed(ctx, weights_.embedding.weight, next.tokens),
                    w.embedding_norm.vector(), config_.norm_eps);
  const Tensor hidden = ops::rms_norm(ctx, normed_hidden, w.hidden_norm.vector(), config_.norm_eps);
  // Released checkpoints join [embedding ; hidden], the opposite of the report's formula.
  Tensor x = ops::linear(ctx, ops::join(ctx, embedded, hidden), w.join.weight);
  const int layer = config_.layers + static_cast<int>(index);
  x = ops::recompute(ctx, x, [this, &w, next, layer, watch](Context& inner, Tensor in) {
    return block(inner, w.block, in, next, layer, watch);
  });
  return ops::rms_norm(ctx, x, w.output_norm.vector(), config_.norm_eps);
}

}  // namespace nautile
