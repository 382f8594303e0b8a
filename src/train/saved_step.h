// saved_step.h — SavedStep: a checkpoint of a training run on disk, verified and read.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "store/safetensors.h"
#include "train/run_state.h"
#include "train/trainer.h"

namespace nautile::train {

// Every byte of it was verified when it was opened. Owns the mapped files.
class SavedStep {
 public:
  // Throws Error(bad_input) or Error(failure) naming the file and what is wrong with it,
  // Error(unsupported) for a later format.
  static SavedStep open(const std::string& folder);

  const std::string& path() const { return path_; }
  const RunState& state() const { return file_.run; }
  const TrainerFacts& trainer_facts() const { return file_.trainer; }
  std::uint64_t bytes() const;  // of the files with numbers

  // Sets masters, router biases, moments, mean and progress, and refreshes. The trainer must have
  // the same parameters, precision, kind of optimizer, format of moments, and a mean if and only
  // if this has one: Error(bad_input) names the differences; nothing was set then.
  void load_into(Trainer& trainer) const;

  // A parameter's or router bias's numbers by canonical name; of the running mean where asked, and
  // a router bias has none of its own. Throws Error(bad_input) if they are missing or ill-shaped.
  enum class Numbers : std::uint8_t { masters, mean };
  std::span<const float> values(const std::string& canonical, const Shape& shape,
                                Numbers which = Numbers::masters) const;
  bool has_mean() const { return find_part(Numbers::mean) != nullptr; }

 private:
  SavedStep() = default;

  // A safetensors file and its tensors by name.
  struct Part {
    store::SafetensorsFile file;
    std::map<std::string_view, const store::TensorRecord*, std::less<>> names;
  };
  const Part* find_part(std::string_view file) const;  // null if there is none
  const Part* find_part(Numbers which) const;
  const store::TensorRecord& tensor(const Part& part, const std::string& name, const Shape& shape,
                                    const std::string& dtype) const;
  // What is otherwise in `trainer`, of what can be told without the parameters.
  std::string differences(Trainer& trainer) const;

  std::string path_;
  StateFile file_;
  std::map<std::string, Part, std::less<>> parts_;  // by file name
};

}  // namespace nautile::train
