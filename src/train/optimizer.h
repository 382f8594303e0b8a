// optimizer.h — Optimizer: moves the masters by their gradients; owns the moments.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ops/context.h"
#include "train/param_set.h"

namespace nautile::train {

enum class MomentFormat : std::uint8_t { f32, bf16 };

struct OptimizerConfig {
  enum class Kind : std::uint8_t { adamw, muon } kind = Kind::adamw;
  double beta1 = 0.9, beta2 = 0.95, decay = 0.1;  // DeepSeek-V3 report §4.2
  double epsilon = 1e-8;                          // not published; PyTorch's default
  MomentFormat moments = MomentFormat::bf16;      // report §3.3.3
  double momentum = 0.95;                         // Muon's (Jordan et al. 2024)
  double clip = 1.0;                              // of the global norm; 0: none
};

// State that must be saved to go on to the same bits: named bytes.
struct OptimizerState {
  std::string name;            // "m", "v", "momentum"
  std::string dtype;           // as safetensors spells it
  std::span<std::byte> bytes;  // of what this rank owns, laid out like the masters
  std::size_t each() const { return dtype == "BF16" ? 2 : 4; }
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  // `gradients` are scaled by `scale` on the way in (the clip). `step` counts from 1. Decay falls
  // on tensors of rank 2 and more: the report names no exception, common practice spares gains and
  // biases.
  virtual void step(Backend& backend, ParamSet& params, std::span<const float> gradients,
                    double scale, double rate, std::int64_t step) = 0;
  virtual std::vector<OptimizerState> state() = 0;
};

std::unique_ptr<Optimizer> make_optimizer(const OptimizerConfig& config, const ParamSet& params);

}  // namespace nautile::train
