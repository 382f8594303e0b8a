// printer.h — Printer: an answer as it comes, on standard output; all else on standard error.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "app/environment.h"
#include "app/output.h"
#include "app/settings.h"
#include "text/reasoning.h"

namespace nautile::app {

// Text with its control characters but \n and \t shown as U+FFFD, so that what a model writes
// cannot command the terminal (escape sequences, C0, DEL, C1). The text is valid UTF-8.
std::string terminal_safe(std::string_view text);

// Throws Error(failure) when standard output cannot be written to (a full disk). Once it is closed
// nothing is written any more, notices neither.
class Printer {
 public:
  Printer(const Environment& environment, ReasoningShown reasoning)
      : environment_(environment), shown_(reasoning) {}

  void piece(const ReasoningSplitter::Piece& piece);
  // Ends the answer's last line.
  void finish();
  // A line on standard error, dim where there are colours.
  void notice(std::string_view text);
  void raw(std::string_view text);  // to standard output, as it is
  Output output() const { return output_; }

 private:
  enum class Part : std::uint8_t { none, reasoning, content };
  using Clock = std::chrono::steady_clock;

  void reasoning(std::string_view text);
  void end_reasoning();
  void content(std::string_view text);
  void write(std::string_view text);

  const Environment& environment_;
  ReasoningShown shown_;
  Output output_ = Output::open;
  Part part_ = Part::none;
  Clock::time_point start_;
  bool line_open_ = false;  // what was written last does not end in \n
  bool trim_ = false;       // white space before the answer's first word is left out
  std::size_t folded_ = 0;  // bytes of reasoning not shown
};

// "3.2 s", "1 min 5 s".
std::string duration_text(double seconds);

}  // namespace nautile::app
