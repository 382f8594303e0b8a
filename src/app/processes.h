// processes.h — the processes that a verb runs in: this one alone, or those that mpirun started.
#pragma once

#include <functional>

#include "app/environment.h"
#include "app/exit_code.h"
#include "comm/comm.h"

namespace nautile::app {

// Runs `body` in as many processes as there are, and ends all of them alike: an error of one is
// told once and ends the others, with its exit code.
ExitCode run_in_processes(const Environment& environment,
                          const std::function<ExitCode(Comm&)>& body);

// What this process may take of the machine that it shares with other ranks. All ask together.
struct MachineShare {
  int threads = 1;    // cores for each rank here, at least one
  int processes = 1;  // ranks here
};
MachineShare machine_share(Comm& comm);

}  // namespace nautile::app
