// error.h — errors that tell the story: doing what, to what, expected, found, what may help.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace nautile {

// What kind of thing went wrong; app/ turns it into the exit code (see `nautile help exit-codes`).
enum class ErrorKind {
  failure,      // the world failed: I/O, network, a child process
  usage,        // the user asked for something that cannot be
  bad_input,    // a file or message is malformed
  unsupported,  // well-formed, but nautile cannot do it
  no_memory,    // does not fit
};

// An exception with a chain of contexts, innermost first. Printed outermost first:
//   cannot load model
//     while reading /models/x.gguf
//     tensor blk.0.attn_q.weight: expected [576, 576], found [576, 512]
//     hint: …
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, std::string message)
      : std::runtime_error(message), kind_(kind), message_(std::move(message)) {
    render();
  }

  ErrorKind kind() const { return kind_; }
  const std::string& message() const { return message_; }  // without contexts and hint
  const char* what() const noexcept override { return rendered_.c_str(); }

  // Adds what was being done. For `catch (Error& e) { throw e.with("while loading {}", path); }`.
  template <class... Args>
  Error with(fmt::format_string<Args...> format, Args&&... args) const {
    Error copy = *this;
    copy.contexts_.push_back(fmt::format(format, std::forward<Args>(args)...));
    copy.render();
    return copy;
  }

  // Adds what may help.
  template <class... Args>
  Error hint(fmt::format_string<Args...> format, Args&&... args) const {
    Error copy = *this;
    copy.hint_ = fmt::format(format, std::forward<Args>(args)...);
    copy.render();
    return copy;
  }

 private:
  void render();

  ErrorKind kind_;
  std::string message_;
  std::vector<std::string> contexts_;
  std::string hint_;
  std::string rendered_;
};

template <class... Args>
Error make_error(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  return Error(kind, fmt::format(format, std::forward<Args>(args)...));
}

template <class... Args>
[[noreturn]] void fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(kind, fmt::format(format, std::forward<Args>(args)...));
}

// Prints a broken promise of ours and aborts.
[[noreturn]] void assert_failed(const char* expression, const char* file, int line,
                                const std::string& message);

}  // namespace nautile

// A promise between our own functions; always on.
#define NAUTILE_ASSERT(condition, ...) \
  (static_cast<bool>(condition)        \
       ? void(0)                       \
       : ::nautile::assert_failed(#condition, __FILE__, __LINE__, fmt::format(__VA_ARGS__)))

// A user-visible misuse of an op or a file: throws Error(bad_input).
#define NAUTILE_CHECK(condition, ...)     \
  (static_cast<bool>(condition) ? void(0) \
                                : ::nautile::fail(::nautile::ErrorKind::bad_input, __VA_ARGS__))
