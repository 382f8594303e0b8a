// bench_serve.h — `nautile bench serve`: a server under the load of many clients.
#pragma once

#include "app/program.h"

namespace nautile::app {

// Under the verb `bench`.
void add_bench_serve(CLI::App& bench, Program& program);

}  // namespace nautile::app
