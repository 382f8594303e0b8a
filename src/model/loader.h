// loader.h — Checkpoint: a model's files opened: config, weights found by name, and what goes with
// them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "model/model.h"
#include "store/weight_store.h"

namespace nautile {

// Opened files; weights stay mapped. Owns every byte the Model's weights point to.
class Checkpoint {
 public:
  // `path`: what store::WeightStore::open takes. Reads config.json or GGUF metadata; throws Error.
  static Checkpoint open(const std::string& path);

  const store::WeightStore& store() const { return *store_; }
  const ModelConfig& config() const { return config_; }

  // Finds every weight; missing, extra and ill-shaped ones are reported together in one Error.
  // `progress` is told of done and all weights.
  using Progress = std::function<void(std::size_t done, std::size_t all)>;
  ModelWeights weights(const Progress& progress = {});

  // Bytes of all weights as they lie in the files.
  std::uint64_t weight_bytes() const { return store_->total_bytes(); }

 private:
  Checkpoint() = default;

  std::unique_ptr<store::WeightStore> store_;
  ModelConfig config_;
};

}  // namespace nautile
