#include "base/error.h"

#include <cstdio>
#include <cstdlib>

namespace nautile {

void Error::render() {
  rendered_.clear();
  int depth = 0;
  for (auto context = contexts_.rbegin(); context != contexts_.rend(); ++context) {
    rendered_ += fmt::format("{}{}\n", depth++ ? "  " : "", *context);
  }
  rendered_ += (depth ? "  " : "") + message_;
  if (!hint_.empty()) rendered_ += "\n  hint: " + hint_;
}

void assert_failed(const char* expression, const char* file, int line, const std::string& message) {
  std::fprintf(stderr, "nautile: internal error at %s:%d: %s: %s\n", file, line, expression,
               message.c_str());
  std::fflush(stderr);
  std::abort();
}

}  // namespace nautile
