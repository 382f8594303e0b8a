#include "app/output.h"

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
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) return after_failure();
  return std::fflush(stdout) == 0 ? Output::open : after_failure();
}

void flush_output() {
  if (std::fflush(stdout) != 0 && after_failure() == Output::closed) throw OutputClosed{};
}

}  // namespace nautile::app
