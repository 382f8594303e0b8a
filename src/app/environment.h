// environment.h — Environment: what the process was started with, read once and passed on.
#pragma once

#include <optional>
#include <string>

namespace nautile::app {

// Empty variables count as absent.
struct Environment {
  std::optional<std::string> isa;      // NAUTILE_ISA: the table of kernels
  std::optional<std::string> threads;  // NAUTILE_THREADS
  std::optional<std::string> model;    // NAUTILE_MODEL: the model when none is named
  // What launchers of MPI programs set: this process's place among those it was started with.
  std::optional<std::string> mpi_rank, mpi_size;
  std::optional<std::string> mirror;    // NAUTILE_MIRROR: where the default model comes from
  std::optional<std::string> api_keys;  // NAUTILE_API_KEYS: who may ask the server
  std::string cache_folder;    // $XDG_CACHE_HOME/nautile or $HOME/.cache/nautile; may be empty
  std::string data_folder;     // $XDG_DATA_HOME/nautile or $HOME/.local/share/nautile
  std::string home;            // HOME, may be empty
  std::string program_folder;  // where this program's file lies; empty if the system does not tell
  std::string path;            // PATH, for child processes
  bool stdin_terminal = false;
  bool stdout_terminal = false;
  bool stderr_terminal = false;
  bool color = false;  // stdout is a terminal that has colours, and NO_COLOR is not set
};

// The only place that reads the environment; main calls it once.
Environment read_environment();

// One line per variable: what it is called and what it does (`nautile help environment`).
std::string environment_help();

}  // namespace nautile::app
