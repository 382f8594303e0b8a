#include "app/exit_code.h"

#include <signal.h>

namespace nautile::app {
namespace {

volatile sig_atomic_t interrupt_mark = 0;
struct sigaction action_before;

void set_mark(int) {
  interrupt_mark = 1;
}

}  // namespace

ExitCode exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::failure:
      return ExitCode::failure;
    case ErrorKind::usage:
      return ExitCode::usage;
    case ErrorKind::bad_input:
      return ExitCode::bad_input;
    case ErrorKind::unsupported:
      return ExitCode::unsupported;
    case ErrorKind::no_memory:
      return ExitCode::no_memory;
  }
  return ExitCode::failure;
}

std::string exit_code_help() {
  return "  0  done\n"
         "  1  failure: a file, the network or another program did not do its part\n"
         "  2  usage: the command line asks for something that cannot be\n"
         "  3  bad input: a file or a message is malformed\n"
         "  4  no memory: the model or the context does not fit this machine\n"
         "  5  unsupported: well-formed, but nautile or this CPU cannot do it\n"
         "130  interrupted by Ctrl-C\n"
         "141  the reader of the output has gone, as in `nautile ... | head`; nothing is said\n";
}

CatchInterrupt::CatchInterrupt() {
  interrupt_mark = 0;
  struct sigaction action = {};
  action.sa_handler = set_mark;  // without SA_RESTART: a wait ends and sees the mark
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, &action_before);
}

CatchInterrupt::~CatchInterrupt() {
  sigaction(SIGINT, &action_before, nullptr);
}

bool CatchInterrupt::happened() const {
  return interrupt_mark != 0;
}
void CatchInterrupt::forget() {
  interrupt_mark = 0;
}

}  // namespace nautile::app
