// training.h — what the verbs that train share: a recipe carried out with a live line.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "app/exit_code.h"
#include "app/loaded_model.h"
#include "comm/comm.h"
#include "train/run.h"

namespace nautile::app {

// What such a verb is asked beside the recipe.
struct TrainingChoice {
  std::string recipe, out;
  std::vector<std::string> sets;
  ModelChoice machine;
  bool resume = false, quiet = false;
};
// recipe, --out, --resume, --set, --quiet, --threads, --isa.
void add_training_options(CLI::App& verb, TrainingChoice& choice);

// Paths of --set are kept as they are meant now, whatever the working directory of a resumed run.
std::vector<std::string> lasting_sets(const train::Recipe& recipe, std::vector<std::string> sets);

ComputeClass class_of(train::Precision precision);
// `threads` where nobody says how many.
CpuOptions training_cpu(const ModelChoice& machine, const train::Recipe& recipe,
                        const Environment& environment, int threads);

// The whole run, by all ranks of `comm` alike. `verb` is named in the advice how to go on after a
// stop; what else `options` holds than program_version, peak_flops and available_bytes is the
// caller's. When the run has ended by itself, `finish` is called.
struct TrainingJob {
  std::string verb;
  train::Recipe recipe;
  train::RunOptions options;
  CpuOptions cpu;
  bool quiet = false;
  std::function<void(train::Trainer&)> begin;                 // before the first step; may be empty
  std::function<void(train::TrainingRun&, Backend&)> finish;  // on the first rank
};
ExitCode carry_out(TrainingJob job, const Environment& environment, Comm& comm);

// "OUT: 386 steps, 1501525 tokens", and a line for each held-out set.
void print_end(const std::string& out, train::TrainingRun& run);

}  // namespace nautile::app
