// model.h — Model: the forward pass, written once; serving and training run the same text.
#pragma once

#include <span>

#include "model/attention.h"
#include "model/config.h"
#include "model/ffn.h"
#include "model/weights.h"
#include "ops/batch.h"

namespace nautile {

struct ModelOptions {
  std::int64_t context = 0;  // positions the rope table is made for; 0: the model's own
  MlaForm mla = MlaForm::by_cost;
  Format kv_format = Format::bf16;  // of fresh rows; pages bring their own
  float balance_alpha = 0;          // training: weight of the sequence-wise balance loss
};

// What tests and tools may look at while a batch runs.
struct ModelWatch {
  std::function<void(int layer, Tensor hidden)> block;  // [T, D] after each block
  RoutingWatch routing;
  BalanceWatch balance;  // the balance loss of a layer, already weighted
};

class Model {
 public:
  // The weights are views; their owner outlives the model.
  Model(ModelConfig config, ModelWeights weights, const ModelOptions& options);

  const ModelConfig& config() const { return config_; }
  const ModelOptions& options() const { return options_; }
  ModelOptions& options() { return options_; }
  ModelWeights& weights() { return weights_; }

  // Last hidden states before the final norm -> [T, D]
  Tensor hidden(Context& ctx, const Batch& batch, const ModelWatch& watch = {}) const;
  // Logits of the given rows of hidden -> [n, W]
  Tensor logits(Context& ctx, Tensor hidden) const;
  // Module `index`: hidden [T, D] of the main model after its final norm and the tokens one further
  // on -> normed hidden states [T, D] whose head() product predicts the tokens two further on.
  // Layer L + index of the batch's pages is its own.
  Tensor mtp_hidden(Context& ctx, std::size_t index, Tensor normed_hidden, const Batch& next,
                    const ModelWatch& watch = {}) const;
  Tensor final_norm(Context& ctx, Tensor hidden) const;
  const Weight& head() const;  // [W, D], the embedding's where they are tied

 private:
  Tensor block(Context& ctx, const BlockWeights& w, Tensor x, const Batch& batch, int layer,
               const ModelWatch& watch) const;

  ModelConfig config_;
  ModelWeights weights_;
  ModelOptions options_;
  ops::RopeTable rope_;
};

}  // namespace nautile
