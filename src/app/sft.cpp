// sft.cpp — the verb `sft`: fine-tunes a model on conversations.
#include "app/program.h"
#include "app/tuning.h"

namespace nautile::app {

void add_sft(CLI::App& root, Program& program) {
  const auto choice = std::make_shared<TuningChoice>();
  choice->method = align::Method::sft;
  CLI::App* verb =
      add_verb(root, program, "sft", "Fine-tune a model on conversations (OpenAI messages)", choice,
               run_tuning);
  add_tuning_options(*verb, *choice);
}

}  // namespace nautile::app
