// train_oracle.h — reads the cases of the training oracle: batches, losses, gradients, weights.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "store/safetensors.h"

namespace nautile::test {

// What the case was trained with; a weight of 0 turns a term off. How the terms are computed is
// written at the head of tools/oracle/train_twin.py.
struct TrainRecipe {
  enum class Starts { documents, rows };

  Starts starts;         // where attention ends; each batch has its starts, so this only says why
  double mtp_lambda;     // λ
  double balance_alpha;  // α, of the sequence-wise balance loss
  double bias_gamma;     // γ, of the router's bias after each step
  double lr, beta1, beta2, eps;
  double weight_decay;  // of tensors of rank 2 and more
  double clip;          // of the norm over all gradients
};

// One packed batch. Bounds go from 0 to T and ascend.
struct TrainBatch {
  std::vector<std::int32_t> tokens;     // [T]
  std::vector<std::int32_t> positions;  // [T] inside the span
  std::vector<std::int32_t> documents;  // [D+1]
  std::vector<std::int32_t> rows;       // [B+1] packed sequences
  std::vector<std::int32_t> starts;     // [S+1] spans of attention
  std::vector<std::int32_t> targets;    // [T] the next token of the span, or -1
  std::vector<float> weights;           // [T] of the loss, 0 without a target

  // What the MTP module runs on; empty if the model has none.
  std::vector<std::int32_t> mtp_rows;     // [T-S] the tokens with a target
  std::vector<std::int32_t> mtp_starts;   // [S+1] bounds from 0 to T-S; two may be equal
  std::vector<std::int32_t> mtp_targets;  // [T-S] two tokens further on in the span, or -1
  std::vector<float> mtp_weights;         // [T-S] the target's weight in the main loss
};

// What a step computes on the weights before it, in f64.
struct TrainStep {
  double total;    // main + λ·mtp + balance
  double main;     // mean over weights, nats
  double mtp;      // before λ
  double balance;  // after α, over all layers
  std::map<int, double> balance_layers;
  double grad_norm;  // before the clip
};

// One folder of tests/data/train_oracle. Layers are numbered as in the checkpoint: the MTP module's
// is the number of layers. Throws Error if the folder is not what make_train_oracle.py writes, or
// on a name that it does not hold.
class TrainCase {
 public:
  explicit TrainCase(const std::string& name);

  const std::string& name() const { return name_; }
  const std::string& checkpoint() const { return checkpoint_; }  // path of the folder to start from
  const TrainRecipe& recipe() const { return recipe_; }
  const std::vector<TrainStep>& steps() const { return steps_; }

  TrainBatch batch(std::size_t step) const;
  // Of the batch of the step: layer -> [E] tokens that chose each expert.
  std::map<int, std::vector<std::int32_t>> loads(std::size_t step) const;
  // After the step: layer -> [E] routing bias, exact in f32. Empty if γ = 0.
  std::map<int, std::vector<float>> biases(std::size_t step) const;
  // Of the first step, 0 without a target: cross entropy [T] and [T-S] (empty without MTP), nats.
  std::vector<float> cross_entropy() const;
  std::vector<float> mtp_cross_entropy() const;

  // Names of trained tensors as model.safetensors spells them. Gradients are those of `total` in
  // the first step, before the clip; final weights are those after all steps. A case may hold
  // neither or only gradients. Values in the tensor's shape, PyTorch order.
  std::vector<std::string> gradient_names() const { return names_after("grad."); }
  std::vector<float> gradient(const std::string& name) const;
  std::vector<std::string> final_names() const { return names_after("final."); }
  std::vector<float> final_weights(const std::string& name) const;

 private:
  std::string path(const char* file) const;
  std::vector<std::string> names_after(const std::string& prefix) const;
  const store::TensorRecord* find(const std::string& name) const;  // nullptr if absent
  std::vector<float> floats(const std::string& name) const;
  std::vector<std::int32_t> integers(const std::string& name) const;

  std::string name_;
  std::string checkpoint_;
  TrainRecipe recipe_{};
  std::vector<TrainStep> steps_;
  store::SafetensorsFile data_;
};

// Names of the cases that exist, sorted.
std::vector<std::string> train_cases();

}  // namespace nautile::test
