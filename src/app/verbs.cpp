// verbs.cpp — the list of verbs.
#include "app/program.h"

namespace nautile::app {

void add_verbs(CLI::App& root, Program& program) {
  add_chat(root, program);
  add_think(root, program);
  add_run(root, program);
  add_serve(root, program);
  add_batch(root, program);
  add_inspect(root, program);
  add_tokenize(root, program);
  add_eval(root, program);
  add_tokenizer(root, program);
  add_data(root, program);
  add_train(root, program);
  add_sft(root, program);
  add_dpo(root, program);
  add_merge(root, program);
  add_export(root, program);
  add_report(root, program);
  add_bench(root, program);
  add_doctor(root, program);
  add_completion(root, program);
  add_man(root, program);
  add_help(root, program);
}

}  // namespace nautile::app
