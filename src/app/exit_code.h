// exit_code.h — the program's exit codes, and the way to them.
#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"

namespace nautile::app {

enum class ExitCode : int {
  ok = 0,
  failure = 1,
  usage = 2,
  bad_input = 3,
  no_memory = 4,
  unsupported = 5,
  interrupted = 130,
  output_closed = 141,  // what shells report of a filter that SIGPIPE ended
};

ExitCode exit_code(ErrorKind kind);
// The table that `nautile help exit-codes` and the man page print, one code per line.
std::string exit_code_help();

// Thrown when the user pressed Ctrl-C and what was begun is cleaned up.
struct Interrupted {};

// Thrown when nobody reads standard output any more and what was begun is cleaned up. Nothing is
// said: it is how a pipe into `head` ends.
struct OutputClosed {};

// How the exception that is being handled ends the program; an empty message says nothing.
struct Ending {
  ExitCode code = ExitCode::failure;
  std::string message;
};
Ending ending_of_current_exception();

// While it lives, Ctrl-C (SIGINT) sets a mark instead of ending the process. One at a time. With
// all_requests a second one, two seconds later or more, ends the process at once, and the first
// says so on a terminal.
class CatchInterrupt {
 public:
  // all_requests: SIGTERM, too, and SIGUSR1, which mpirun passes on.
  enum class Signals : std::uint8_t { interrupt, all_requests };
  explicit CatchInterrupt(Signals signals = Signals::interrupt);
  ~CatchInterrupt();
  CatchInterrupt(const CatchInterrupt&) = delete;
  CatchInterrupt& operator=(const CatchInterrupt&) = delete;

  bool happened() const;
  void forget();  // takes the mark away

 private:
  Signals signals_;
};

}  // namespace nautile::app
