// saved_step.h — SavedStep: a checkpoint of a training run on disk; writes and reads all of it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "store/safetensors.h"
#include "train/run_state.h"
#include "train/trainer.h"

namespace nautile::train {

// A copy of everything in a Trainer that its next step depends on.
class Snapshot {
 public:
  Snapshot(Trainer& trainer, RunState state);

  const RunState& state() const { return state_; }
  // Writes all files into `folder`, which must be there and empty, each synced. Throws Error
  // (failure) naming the file, for a full disk too.
  void write(const std::string& folder) const;

 private:
  struct Part {  // one safetensors file
    std::string file;
    struct Piece {
      std::string name, dtype;
      Shape shape;
      std::size_t begin, bytes;
    };
    std::vector<Piece> pieces;
    std::vector<std::byte> data;
    void add(std::string name, std::string dtype, Shape shape, std::span<const std::byte> bytes);
  };
  RunState state_;
  nlohmann::ordered_json facts_;  // of the trainer, which a resuming one must share
  std::vector<Part> parts_;
};

// An opened checkpoint; every byte of it was verified. Owns the mapped files.
class SavedStep {
 public:
  // Throws Error(bad_input) naming the file and what is wrong with it, Error(unsupported) for a
  // later format.
  static SavedStep open(const std::string& folder);

  const std::string& path() const { return path_; }
  const RunState& state() const { return state_; }
  // Precision, kinds and formats of the trainer that wrote it.
  const nlohmann::ordered_json& trainer_facts() const { return facts_; }
  std::uint64_t bytes() const { return bytes_; }  // of all files

  // Sets masters, router biases, moments, mean and progress, and refreshes. The trainer must have
  // the same parameters, precision, kind of optimizer, format of moments, and a mean if and only
  // if this has one: Error(bad_input) names every difference.
  void load_into(Trainer& trainer) const;

  // A parameter's or router bias's numbers by canonical name; of the running mean where asked.
  // Throws Error(bad_input) if there are none.
  enum class Numbers : std::uint8_t { masters, mean };
  std::span<const float> values(std::string_view canonical, Numbers which) const;
  bool has_mean() const;

 private:
  SavedStep() = default;

  // A safetensors file of the checkpoint and its tensors by name.
  struct Part {
    store::SafetensorsFile file;
    std::map<std::string_view, const store::TensorRecord*, std::less<>> names;
  };
  void verify(const std::string& name, const nlohmann::json& expected);
  const Part* part(const char* file) const;  // null if there is none
  // What `trainer` would need that is not here, or is otherwise; empty: nothing.
  std::vector<std::string> differences(Trainer& trainer) const;

  std::string path_;
  RunState state_;
  nlohmann::ordered_json facts_;
  std::uint64_t bytes_ = 0;
  std::map<std::string, Part, std::less<>> parts_;  // by file name
};

}  // namespace nautile::train
