// cost.h — what training a model costs, counted from its config: work, memory, time and money.
#pragma once

#include "model/config.h"
#include "train/recipe.h"
#include "train/token_batch.h"

namespace nautile::train {

// Multiply-adds of weight products and attention, counted as two; norms, softmax and the optimizer
// are left out, and so is what is computed twice to save memory. The way back costs twice the way
// forward: each product has the gradient of its input and of its weight.
struct TrainingFlops {
  double per_token = 0;      // of the main model, forward and back
  double per_pair = 0;       // for each (query, key) of attention
  double mtp_per_token = 0;  // of the prediction module and its own pass through the head
  double mtp_per_pair = 0;

  // Of one slot, its spans counted as they are.
  enum class Mtp : std::uint8_t { off, on };
  double of(const TokenBatch& batch, Mtp mtp) const;
  // Of a token on average, where spans have `span` tokens: (span + 1) / 2 keys each.
  double mean_per_token(double span, Mtp mtp) const;
};
TrainingFlops training_flops(const ModelConfig& config);

// Bytes in one process; of several, in the first one, which also writes the checkpoints.
struct TrainingMemory {
  double masters = 0;      // F32
  double copies = 0;       // what the model multiplies: BF16, or E4M3 with scales
  double gradients = 0;    // F32, once for each level of the tree of slots, and their sum
  double moments = 0;      // of the optimizer
  double mean = 0;         // of the masters, if one is kept
  double activations = 0;  // at most, of one slot
  double saving = 0;       // the copy that a checkpoint is written from
  int tree_levels = 0;

  double total() const {
    return masters + copies + gradients + moments + mean + activations + saving;
  }
};
TrainingMemory training_memory(const Recipe& recipe, int ranks = 1);

// A step of `slots` slots holds so many gradient buffers at most: a binary counter's digits and
// the slot that runs.
int gradient_buffers(std::int64_t slots);

struct RunCost {
  double flops = 0;  // of the whole run
  double steps = 0;  // about
  double device_hours = 0, hours = 0, dollars = 0;
  double mfu = 0;  // as assumed, or what the published speed comes to; 0: unknown
};
// `span`: mean length of what may attend to one another. peak_flops: of one device; 0: not known,
// then time is known only from device_hours_per_trillion_tokens.
RunCost run_cost(const Recipe& recipe, double span, double peak_flops);

}  // namespace nautile::train
