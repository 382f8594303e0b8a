// child_process.h — runs another program and waits for it.
#pragma once

#include <string>
#include <vector>

#include "app/environment.h"

namespace nautile::app {

// Where the child's output goes; its stdin is empty.
enum class ChildOutput {
  to_stderr,  // both its streams to ours
  collect,    // both its streams to ChildResult::output (the last 64 KiB)
};

struct ChildResult {
  int exit_code = 0;  // 128 + signal if a signal ended it
  std::string output;
};

// argv[0] is found in environment.path. Ctrl-C reaches the child too; wait for it, then ask the
// caller's CatchInterrupt. Throws Error(failure) if the program is not there or cannot be started.
ChildResult run_child(const std::vector<std::string>& argv, ChildOutput output,
                      const Environment& environment);

// The path of a program, or empty.
std::string find_program(const std::string& name, const Environment& environment);

}  // namespace nautile::app
