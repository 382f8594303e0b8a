// input.h — what was typed, made into messages and commands; knows no terminal.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace nautile::app {

// Joins lines into one input. Lines between """ and """ belong together, and a line that ends in a
// backslash goes on in the next one.
class InputAssembler {
 public:
  // Takes a line (a pasted one may hold \n) -> the input, once it is whole.
  std::optional<std::string> feed(std::string_view line);
  bool pending() const { return state_ != State::fresh; }
  void clear();

 private:
  enum class State : std::uint8_t { fresh, quoted, continued };

  std::optional<std::string> feed_quoted(std::string_view line);

  State state_ = State::fresh;
  std::string text_;
};

// "/set top_p 0.9" -> {"set", "top_p 0.9"}. Text that merely begins with a slash ("/usr/bin …") is
// no command: a command's name has letters alone.
struct Command {
  std::string name;
  std::string rest;  // without white space around it
};
std::optional<Command> parse_command(std::string_view input);

// Without white space at both ends.
std::string trimmed(std::string_view text);

// One line for a history file and back: \n is written \n, a backslash \\.
std::string escape_line(std::string_view text);
std::string unescape_line(std::string_view line);

// UTF-8 to wide characters (UTF-32 on every Unix this runs on) and back; what is ill-formed becomes
// U+FFFD.
std::wstring wide_text(std::string_view text);
std::string utf8_text(std::wstring_view text);

}  // namespace nautile::app
