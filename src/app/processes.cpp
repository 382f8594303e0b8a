#include "app/processes.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "app/output.h"
#include "base/parallel.h"

namespace nautile::app {
namespace {

void tell(const Ending& ending) {
  if (ending.message.empty()) return;
  std::fflush(stdout);
  std::fprintf(stderr, "nautile: %s\n", ending.message.c_str());
}

std::unique_ptr<Comm> join(const Environment& environment) {
  try {
    return make_mpi_comm();
  } catch (const Error&) {
    // All fail alike: the first tells, and mpirun ends the others while they wait.
    if (environment.mpi_rank != "0") std::this_thread::sleep_for(std::chrono::seconds(3));
    throw;
  }
}

}  // namespace

ExitCode run_in_processes(const Environment& environment,
                          const std::function<ExitCode(Comm&)>& body) {
  if (!environment.mpi_rank || environment.mpi_size == "1") {
    LocalComm alone;
    return body(alone);
  }
  const std::unique_ptr<Comm> comm = join(environment);
  try {
    const ExitCode code = body(*comm);
    flush_output();
    comm->finish();
    return code;
  } catch (const Interrupted&) {
    comm->finish();
    throw;
  } catch (const OtherRankFailed&) {
    comm->fail(static_cast<int>(ExitCode::failure), [] {});
  } catch (...) {
    Ending ending = ending_of_current_exception();
    if (!comm->is_root()) ending.message += fmt::format("\n  on rank {}", comm->rank());
    comm->fail(static_cast<int>(ending.code), [&] { tell(ending); });
  }
  std::abort();  // fail() does not come back, which g++ does not see of a virtual function
}

MachineShare machine_share(Comm& comm) {
  struct Here {
    std::array<char, 256> host{};
    cpu_set_t cores;
  } here;
  ::gethostname(here.host.data(), here.host.size() - 1);
  CPU_ZERO(&here.cores);
  const bool known = sched_getaffinity(0, sizeof here.cores, &here.cores) == 0;
  MachineShare share{available_cores(), 0};
  cpu_set_t all = here.cores;
  for (const Here& other : comm.all_gather(here)) {
    if (other.host != here.host) continue;
    ++share.processes;
    CPU_OR(&all, &all, &other.cores);
  }
  if (known) share.threads = std::max(1, CPU_COUNT(&all) / share.processes);
  return share;
}

}  // namespace nautile::app
