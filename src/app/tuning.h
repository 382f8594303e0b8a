// tuning.h — what the verbs that fine-tune share: sft and dpo.
#pragma once

#include <string>
#include <vector>

#include "align/tuning.h"
#include "app/training.h"

namespace nautile::app {

struct TuningChoice : TrainingChoice {
  align::Method method = align::Method::sft;
  std::vector<std::string> data, eval;
  std::vector<std::string> options;  // as --set takes them
  bool skip_bad = false;
};

void add_tuning_options(CLI::App& verb, TuningChoice& choice);
// The whole of it: data, training, and the model or adapter beside the run.
ExitCode run_tuning(const TuningChoice& choice, const Environment& environment);

}  // namespace nautile::app
