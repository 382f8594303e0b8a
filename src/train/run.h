// run.h — TrainingRun: a recipe carried out in a folder, step by step, until it ends or is stopped.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/loader.h"
#include "train/cost.h"
#include "train/metrics.h"
#include "train/run_data.h"
#include "train/run_folder.h"
#include "train/spike_watch.h"

namespace nautile::train {

struct RunOptions {
  std::string out;  // the run's folder
  enum class Start : std::uint8_t {
    fresh,   // into a folder that is empty or not there
    resume,  // from the newest valid checkpoint; from the beginning if there is none
  } start = Start::fresh;
  std::string program_version;
  std::string recipe_text;  // with `sets`: what parse_recipe was given
  std::vector<std::string> sets;
  RecipeKind kind;             // likewise
  RunSource source;            // of another kind of run
  double peak_flops = 0;       // of the machine in the recipe's precision; 0: not known
  double available_bytes = 0;  // of memory, for this process; 0: not known
};

struct RunProgress {
  const StepRecord& record;
  std::optional<double> bits_per_byte;  // of all held-out text, when last read
  double seconds_left = 0;
};

// What the run tells and asks of its surroundings; all but `stop` may be empty.
struct RunHooks {
  std::function<void(const std::string&)> notice;
  std::function<void(const RunProgress&)> step;
  std::function<bool()> stop;  // asked after each step
  // Called before the first step of a run that begins, when weights are in place.
  std::function<void(Trainer&)> begin;
  // Goes on with a prompt by the model as it is; `number` tells samples of a step apart. The ranks
  // of a group run it together.
  std::function<std::string(const Trainer&, const std::string& prompt, std::uint64_t number)>
      sample;
};

enum class RunEnd : std::uint8_t { finished, stopped, out_of_time };

// Of several processes each has one, and all call it alike. The first writes checkpoints, metrics
// and samples and is the one that speaks; all read the data and the checkpoints from the same
// paths.
class TrainingRun {
 public:
  // Makes or opens the folder, allocates, reads the data, tries the longest slot that the recipe
  // allows (nothing moves), and loads or initialises weights. Backend and comm outlive it. Throws
  // Error(usage) for a folder that is not empty where it should be, Error(no_memory) before it
  // allocates what does not fit, and what its parts throw.
  TrainingRun(Recipe recipe, RunOptions options, Backend& backend, Comm& comm, RunHooks hooks);

  // Until the tokens (or steps) of the recipe are done, `stop` says so or time is up; a checkpoint
  // is on disk when it returns. Throws Error(failure) naming step, slot and documents when a loss
  // is no number or leaps, unless the recipe says to skip.
  RunEnd go();

  Trainer& trainer() { return *trainer_; }
  const Adapter* adapter() const { return adapter_.get(); }  // null if all weights are trained
  const RunFolder& folder() const { return *folder_; }
  const Tokenizer& tokenizer() const { return data_->tokenizer(); }
  const std::vector<HeldOutScore>& scores() const { return scores_; }  // the last ones
  // The step after which held-out text was foretold best; none was read: no step.
  std::optional<std::int64_t> best_step() const;
  double best_score() const { return best_.score; }  // nats per token

 private:
  using Clock = std::chrono::steady_clock;

  void check_ranks() const;
  void open_folder();
  std::optional<SavedStep> newest_valid();
  void make_trainer();
  void begin();
  void resume(const SavedStep& saved);
  void compare_tokenizers() const;
  void try_longest_slot();
  bool finished() const;
  std::optional<RunEnd> asked_to_end();
  bool out_of_patience() const;
  void step();
  void after_step(StepRecord& record);
  void measure(StepRecord& record, std::span<const TokenBatch> slots, double seconds);
  // -> whether the step is better than all that were read before.
  bool note_score();
  void write_samples();
  void save();
  void set_watches(const RunState& state);
  void say(const std::string& text) const;
  // Into events.jsonl, which nothing is taken out of again: what a report marks beside the curves.
  void note(const char* event, std::int64_t step, const std::string& text);
  bool due(std::int64_t every) const;
  double seconds_left() const;

  // What is done about a step whose loss is no number or has leapt; nothing of it has moved.
  void on_bad_step(const StepReport& report, std::int64_t slots);
  std::string describe_bad_step(const StepReport& report, std::int64_t slots);
  void roll_back(std::int64_t next_slot);

  Recipe recipe_;
  RunOptions options_;
  Backend& backend_;
  Comm& comm_;
  RunHooks hooks_;
  std::unique_ptr<RunFolder> folder_;
  std::unique_ptr<RunData> data_;
  std::unique_ptr<Checkpoint> base_;  // with an adapter: what it is for
  std::unique_ptr<Adapter> adapter_;
  std::unique_ptr<Trainer> trainer_;
  std::unique_ptr<MetricsLog> metrics_;
  TrainingFlops flops_;
  SpikeWatch watch_;
  std::vector<HeldOutScore> scores_;
  struct Best {
    std::int64_t step = 0;   // 0: nothing was read yet
    double score = 0;        // nats per token
    std::int64_t stale = 0;  // evaluations since
  } best_;
  std::int64_t next_slot_ = 0, saved_step_ = -1;
  int skips_ = 0;
  Clock::time_point start_;
  double recent_seconds_ = 0, recent_tokens_ = 0, recent_steps_ = 0;  // fading sums
};

// The recipe of a run that is there: as its newest valid checkpoint carries it, `sets` on top.
struct StoredRecipe {
  std::string text, path;
  std::vector<std::string> sets;
  std::string model_config;  // of the checkpoint, if it comes from one
};
StoredRecipe stored_recipe(const std::string& out);

}  // namespace nautile::train
