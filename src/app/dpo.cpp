// dpo.cpp — the verb `dpo`: fine-tunes a model on preferences between answers.
#include "app/program.h"
#include "app/tuning.h"

namespace nautile::app {

void add_dpo(CLI::App& root, Program& program) {
  const auto choice = std::make_shared<TuningChoice>();
  choice->method = align::Method::dpo;
  CLI::App* verb =
      add_verb(root, program, "dpo", "Fine-tune a model on preferences between answers (DPO)",
               choice, run_tuning);
  add_tuning_options(*verb, *choice);
}

}  // namespace nautile::app
