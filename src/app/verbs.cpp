// verbs.cpp — the list of verbs.
#include "app/program.h"

namespace nautile::app {

void add_verbs(CLI::App& root, Program& program) {
  add_inspect(root, program);
  add_tokenize(root, program);
  add_help(root, program);
}

}  // namespace nautile::app
