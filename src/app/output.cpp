#include "app/output.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "app/exit_code.h"
#include "base/error.h"

namespace nautile::app {
namespace {

Output after_failure() {
  const int code = errno;
  if (code == EPIPE) return Output::closed;
  fail(ErrorKind::failure, "cannot write to standard output: {}", std::strerror(code));
}

}  // namespace

void keep_running_on_closed_pipes() {
  std::signal(SIGPIPE, SIG_IGN);
}

Output write_output(std::string_view text) {
  if (std::fflush(stdout) != 0) return after_failure();
  // Past the buffer: a Ctrl-C that interrupts a write of stdio loses what it held.
  while (!text.empty()) {
    const ssize_t put = ::write(STDOUT_FILENO, text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return after_failure();
    text.remove_prefix(static_cast<std::size_t>(put));
  }
  return Output::open;
}

void flush_output() {
  if (std::fflush(stdout) != 0 && after_failure() == Output::closed) throw OutputClosed{};
}

}  // namespace nautile::app
