// eval_tasks.h — the verb `eval tasks`: how many generated problems a model solves.
#pragma once

#include "app/program.h"

namespace nautile::app {

// Registers itself under `eval`.
void add_eval_tasks(CLI::App& eval, Program& program);

}  // namespace nautile::app
