// snapshot.h — Snapshot: a copy of everything in a Trainer that its next step depends on.
#pragma once

#include <string>
#include <vector>

#include "store/safetensors_writer.h"
#include "train/run_state.h"
#include "train/trainer.h"

namespace nautile::train {

// Files of a checkpoint, as Snapshot writes and SavedStep reads them. Tensors have the canonical
// names of parameters and router biases; the optimizer's have its state's name behind a dot.
inline constexpr const char* kMastersFile = "masters.safetensors";      // F32, router biases too
inline constexpr const char* kOptimizerFile = "optimizer.safetensors";  // as Optimizer::state()
inline constexpr const char* kMeanFile = "ema.safetensors";             // F32, if there is one
inline constexpr const char* kStateFile = "state.json";
inline constexpr const char* kStateChecksumFile = "state.xxh64";  // a line for `xxhsum -c`

class Snapshot {
 public:
  // Step and tokens of `state` become the trainer's. All ranks make it together; the first one gets
  // everything, the others' are empty.
  Snapshot(Trainer& trainer, RunState state);

  const RunState& state() const { return state_; }
  // Writes all files into `folder`, which must be there and empty, each of them synced. Throws
  // Error(failure) naming the file, for a full disk too.
  void write(const std::string& folder) const;

 private:
  struct Tensors {  // of one safetensors file
    std::string file;
    std::vector<store::SafetensorsEntry> entries;
    std::vector<std::byte> data;
    struct Source {
      int rank = 0;
      std::span<const std::byte> bytes;  // where they are this rank's
    };
    std::vector<Source> sources;  // of each entry
    void add(const Param& p, const std::string& state, const std::string& dtype,
             std::span<const std::byte> bytes);
  };
  void collect(Comm& comm);

  RunState state_;
  TrainerFacts facts_;
  std::vector<Tensors> files_;
};

}  // namespace nautile::train
