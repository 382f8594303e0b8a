// preference.h — direct preference optimization (DPO, Rafailov et al. 2023): its loss, and the
// pairs that it reads.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "train/batch_builder.h"
#include "train/packer.h"
#include "train/permutation.h"
#include "train/run_data.h"

namespace nautile::align {

struct PreferenceConfig {
  double beta = 0.1;     // how strongly the model is held to the reference
  double smoothing = 0;  // the share of pairs that are the wrong way round (Mitchell 2023)
};

// With the log-probability π of an answer, the sum over its tokens, and that of the reference:
// z = β·((π_chosen − ref_chosen) − (π_rejected − ref_rejected)), loss = −(1 − ε)·log σ(z) −
// ε·log σ(−z), the mean over pairs. Measures, likewise means: rewards/chosen and rewards/rejected
// (β·(π − ref)), rewards/margins, rewards/accuracies, logps/chosen, logps/rejected.
train::MainLoss preference_loss(const PreferenceConfig& config);

// Pairs of a data folder (build_tuning_data of encode_preference) in packed slots; whole pairs in
// an order that follows from seed and epoch, as a Dataset's. A pair counts once in loss_weight, on
// the place of its first target; other places than an answer's have no target.
class PairSource {
 public:
  // The folder outlives this. Pairs of more than seq_len tokens are an error.
  PairSource(const train::DataFolder& folder, train::DatasetOptions options);
  PairSource(const PairSource&) = delete;
  PairSource& operator=(const PairSource&) = delete;

  // These need a reference, computed or read.
  train::TokenBatch slot(std::int64_t index) const;
  const std::vector<train::HeldOut>& held_out() const { return held_out_; }
  std::uint64_t pairs() const { return train_.count; }

  // The log-probabilities of all answers by the model as it is, and their file for the next time.
  void compute_reference(train::Trainer& trainer, const std::string& file);
  // Throws Error(bad_input) if the file is not of these pairs.
  void read_reference(const std::string& file);

 private:
  struct Pairs {
    const std::vector<train::Shard>* shards = nullptr;
    std::uint64_t count = 0;
    std::vector<std::uint64_t> first;  // [shards + 1] pairs before each shard
    std::vector<float> reference;      // [2·count]
  };
  Pairs open(const std::vector<train::Shard>& shards) const;
  std::uint64_t drawn(std::uint64_t draw) const;
  void put(const Pairs& pairs, std::uint64_t pair, train::BatchBuilder& builder,
           std::vector<float>& reference) const;
  static std::int64_t length(const Pairs& pairs, std::uint64_t pair);
  train::TokenBatch batch(const Pairs& pairs, const std::vector<train::PackedRow>& rows,
                          const std::function<std::uint64_t(std::uint64_t)>& pair_of) const;
  std::vector<train::TokenBatch> batches(const Pairs& pairs) const;
  void fill(Pairs& pairs, train::Trainer& trainer) const;
  void read_held_out();

  train::DatasetOptions options_;
  Pairs train_, eval_;
  std::unique_ptr<const train::Packer> packer_;
  std::vector<train::HeldOut> held_out_;
};

}  // namespace nautile::align
