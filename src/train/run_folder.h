// run_folder.h — RunFolder: a training run's folder, with checkpoints that are whole or not there.
//
//   OUT/checkpoints/step-00001234/  masters, optimizer and (if there is one) ema .safetensors,
//                                   state.json, and state.xxh64 (state.json's checksum)
//   OUT/tokenizer/                  tokenizer.json and what goes with it
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/background.h"
#include "train/run_state.h"
#include "train/saved_step.h"

namespace nautile::train {

// Which checkpoints stay when a new one is in place.
struct Retention {
  int last = 3;                      // the newest so many, at least 1
  std::int64_t milestone_every = 0;  // and those whose step is a multiple of this; 0: none
  std::int64_t step = 0;             // and that of this step; 0: none
};

// Two processes do not train in one folder: Use::train holds a lock that ends with the process.
class RunFolder {
 public:
  enum class Use : std::uint8_t {
    read,   // the folder must be there
    train,  // makes the folder, locks it, clears away what a killed process left half written
  };
  // Throws Error(failure) where the folder cannot be read, made or locked.
  RunFolder(std::string path, Use use, Retention retention = {});
  // Waits for the writing in flight. Its error is lost here: call wait() first.
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string file(std::string_view name) const;  // its path in the folder

  // Steps of the checkpoints on disk, ascending, damaged ones too.
  std::vector<std::int64_t> steps() const;

  // One sentence: which checkpoint was passed over and why.
  using Notice = std::function<void(const std::string&)>;
  // The newest checkpoint whose checksums are right; none if there is no checkpoint at all. Throws
  // Error(bad_input) naming each if all are damaged, Error(unsupported) if the newest is of a later
  // format.
  std::optional<SavedStep> newest_valid(const Notice& notice = {}) const;
  // The checkpoint of a step, verified. Throws Error naming the steps there are, or the damage.
  SavedStep at_step(std::int64_t step) const;

  // Copies the trainer's numbers, then writes them in the background; training may go on at once.
  // Step and tokens of `state` are the trainer's. Waits for an earlier writing and throws its Error
  // (the checkpoint it was to make is then not there, earlier ones are). Old checkpoints go when
  // the new one is in place; the one just written and those of later steps never do. Memory: a
  // second copy of masters, moments and mean while it is written.
  void save(Trainer& trainer, RunState state);
  // From the next save() on, the checkpoint of this step stays; that of an earlier call may go.
  void keep(std::int64_t step) { retention_.step = step; }
  // Waits for the writing in flight and throws its Error.
  void wait() { background_.wait(); }

  // Removes checkpoints of later steps: for going back on purpose, since newest_valid() would
  // otherwise find them. The checkpoint of `step` must be there and valid, unless step is 0.
  void discard_after(std::int64_t step);

  // Copies tokenizer files (tokenizer.json, tokenizer_config.json, chat_template.jinja, …) from a
  // folder, for exports. Returns how many there were.
  int keep_tokenizer(const std::string& from);
  std::string tokenizer_folder() const { return file("tokenizer"); }

 private:
  class Lock;
  std::string checkpoints() const { return file("checkpoints"); }

  std::string path_;
  Use use_;
  Retention retention_;
  std::unique_ptr<Lock> lock_;
  Background background_;  // last: it ends before what it uses
};

// Copies the files that go with a tokenizer, where they exist; returns how many.
int copy_tokenizer_files(const std::string& from, const std::string& to);

}  // namespace nautile::train
