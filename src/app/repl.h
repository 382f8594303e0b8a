// repl.h — Repl: the conversation at a terminal: prompt, commands, answers.
#pragma once

#include <string>

#include "app/chat_session.h"
#include "app/exit_code.h"
#include "app/input.h"
#include "app/line_editor.h"

namespace nautile::app {

// Answers one message and prints it as it comes, then the speed line: what the Repl and one-shot
// answers share. Ctrl-C stops it, and so does the end of its reader.
Answer print_answer(ChatSession& chat, const std::string& user, const CatchInterrupt& interrupt,
                    const Environment& environment);

class Repl {
 public:
  Repl(ChatSession& chat, const Environment& environment);

  // Until /bye or Ctrl-D.
  ExitCode run();

 private:
  enum class Go : std::uint8_t { on, leave };

  Go handle(const std::string& input);
  Go command(const Command& command);
  void say(const std::string& input);
  void greet();
  void set(const std::string& rest);
  void system(const std::string& rest);
  void save(const std::string& name);
  void load(const std::string& name);

  ChatSession& chat_;
  const Environment& environment_;
  CatchInterrupt interrupt_;
  LineEditor editor_;
  InputAssembler input_;
  std::string last_reasoning_;
};

}  // namespace nautile::app
