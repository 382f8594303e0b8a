// command_line.h — from argv to an exit code.
#pragma once

#include <CLI/CLI.hpp>

#include "app/program.h"

namespace nautile::app {

// Everything an uncaught exception could be is caught, said on stderr and turned into an exit code.
int run_program(int argc, char** argv);

// The tree of verbs and options, as completion and the man page read it.
void describe_program(CLI::App& root, Program& program);

}  // namespace nautile::app
