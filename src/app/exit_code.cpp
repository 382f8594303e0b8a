#include "app/exit_code.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <new>
#include <span>
#include <system_error>

namespace nautile::app {
namespace {

volatile sig_atomic_t interrupt_mark = 0;
constexpr int kSignals[] = {SIGINT, SIGTERM, SIGUSR1};
struct sigaction actions_before[std::size(kSignals)];

// Terminals and mpirun may bring one request as several signals.
constexpr time_t kAgain = 2;  // seconds
volatile sig_atomic_t may_end = 0, on_terminal = 0;
volatile time_t asked_at = 0;

void set_mark(int signal) {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  if (interrupt_mark && may_end && now.tv_sec - asked_at >= kAgain) {
    ::signal(signal, SIG_DFL);
    raise(signal);
  }
  if (interrupt_mark) return;
  interrupt_mark = 1;
  asked_at = now.tv_sec;
  constexpr char kWords[] = "\nnautile: finishing the step; Ctrl-C again stops at once\n";
  if (may_end && on_terminal && ::write(STDERR_FILENO, kWords, sizeof kWords - 1) < 0) return;
}

std::size_t caught(CatchInterrupt::Signals signals) {
  return signals == CatchInterrupt::Signals::interrupt ? 1 : std::size(kSignals);
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

Ending ending_of_current_exception() {
  try {
    throw;
  } catch (const Interrupted&) {
    return {ExitCode::interrupted, ""};
  } catch (const OutputClosed&) {
    return {ExitCode::output_closed, ""};
  } catch (const Error& error) {
    return {exit_code(error.kind()), error.what()};
  } catch (const std::bad_alloc&) {
    return {ExitCode::no_memory, "out of memory"};
  } catch (const std::system_error& error) {  // of fmt::print
    if (error.code() == std::errc::broken_pipe) return {ExitCode::output_closed, ""};
    return {ExitCode::failure, error.what()};
  } catch (const std::exception& error) {
    return {ExitCode::failure, error.what()};
  }
}

CatchInterrupt::CatchInterrupt(Signals signals) : signals_(signals) {
  interrupt_mark = 0;
  may_end = signals_ == Signals::all_requests;
  on_terminal = ::isatty(STDERR_FILENO);
  struct sigaction action = {};
  action.sa_handler = set_mark;  // without SA_RESTART: a wait ends and sees the mark
  sigemptyset(&action.sa_mask);
  for (std::size_t i = 0; i < caught(signals_); ++i)
    sigaction(kSignals[i], &action, &actions_before[i]);
}

CatchInterrupt::~CatchInterrupt() {
  for (std::size_t i = 0; i < caught(signals_); ++i)
    sigaction(kSignals[i], &actions_before[i], nullptr);
}

bool CatchInterrupt::happened() const {
  return interrupt_mark != 0;
}
void CatchInterrupt::forget() {
  interrupt_mark = 0;
}

}  // namespace nautile::app
