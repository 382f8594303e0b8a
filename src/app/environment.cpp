#include "app/environment.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>

namespace nautile::app {
namespace {

std::optional<std::string> variable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

// The XDG base directory specification: relative paths are to be ignored.
std::string base_folder(const char* name, const std::string& home, const char* otherwise) {
  if (const auto folder = variable(name); folder && folder->front() == '/') {
    return *folder + "/nautile";
  }
  return home.empty() ? std::string() : home + otherwise;
}

}  // namespace

Environment read_environment() {
  Environment e;
  e.isa = variable("NAUTILE_ISA");
  e.threads = variable("NAUTILE_THREADS");
  e.model = variable("NAUTILE_MODEL");
  e.mirror = variable("NAUTILE_MIRROR");
  e.api_keys = variable("NAUTILE_API_KEYS");
  // Open MPI's mpirun; PMIx alone under other launchers.
  e.mpi_rank = variable("OMPI_COMM_WORLD_RANK");
  if (!e.mpi_rank) e.mpi_rank = variable("PMIX_RANK");
  e.mpi_size = variable("OMPI_COMM_WORLD_SIZE");
  e.home = variable("HOME").value_or("");
  e.path = variable("PATH").value_or("/usr/local/bin:/usr/bin:/bin");
  std::error_code ignored;
  e.program_folder =
      std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path().string();
  e.cache_folder = base_folder("XDG_CACHE_HOME", e.home, "/.cache/nautile");
  e.data_folder = base_folder("XDG_DATA_HOME", e.home, "/.local/share/nautile");
  e.stdin_terminal = isatty(STDIN_FILENO) == 1;
  e.stdout_terminal = isatty(STDOUT_FILENO) == 1;
  e.stderr_terminal = isatty(STDERR_FILENO) == 1;
  const std::string terminal = variable("TERM").value_or("dumb");
  e.color = e.stdout_terminal && terminal != "dumb" && !variable("NO_COLOR");
  return e;
}

std::string environment_help() {
  return "NAUTILE_MODEL    the model when no -m is given (a folder or a GGUF file)\n"
         "NAUTILE_ISA      the table of kernels: reference, avx2, avx512_vnni, avx512 or amx\n"
         "NAUTILE_THREADS  the number of compute threads\n"
         "NAUTILE_MIRROR   where the default model comes from: a package index, a wheel or a GGUF "
         "file\n"
         "NAUTILE_API_KEYS keys that `serve` lets in, each `name:key` or `key`, with commas "
         "between\n"
         "XDG_CACHE_HOME   models are kept in its folder nautile/models (default ~/.cache)\n"
         "XDG_DATA_HOME    chats are kept in its folder nautile (default ~/.local/share)\n"
         "NO_COLOR, TERM   whether to write in colours\n";
}

}  // namespace nautile::app
