// muon.h — Muon: momentum whose update is made nearly orthogonal (Jordan et al. 2024), one matrix
// at a time, experts one by one; update size matched to AdamW's (Liu et al. 2025, "Moonlight").
#pragma once

#include <span>
#include <vector>

#include "base/bf16.h"
#include "train/optimizer.h"

namespace nautile::train {

// Embedding, head, router, gains and biases stay with AdamW.
inline bool moves_by_muon(const Param& p) {
  return p.info.role == Role::matrix;
}

class Muon {
 public:
  // m = μ·m + g;  u = orthogonal(g + μ·m)·0.2·√max(rows, cols);  w −= rate·(u + decay·w).
  // `momentum` is laid out like the masters.
  void step(Backend& backend, ParamSet& params, std::span<const float> gradients, double scale,
            double rate, const OptimizerConfig& config, std::span<float> momentum);
  void step(Backend& backend, ParamSet& params, std::span<const float> gradients, double scale,
            double rate, const OptimizerConfig& config, std::span<bf16> momentum);

  // x [rows, cols] in place to nearly orthogonal rows or columns: five Newton–Schulz steps in F32.
  void orthogonalize(Backend& backend, std::int64_t rows, std::int64_t cols, float* x);

 private:
  std::vector<float> update_, gram_, square_, next_;
};

}  // namespace nautile::train
