// line_editor.h — LineEditor: lines typed at a terminal, with editing, history and whole pastes.
#pragma once

#include <memory>
#include <string>

#include "app/exit_code.h"

namespace nautile::app {

enum class LineEnd : std::uint8_t {
  line,         // Enter
  end,          // Ctrl-D on an empty line, or the terminal is gone
  interrupted,  // Ctrl-C
};

// Keys as in Emacs (libedit); a paste is taken as it stands, with its line breaks. Reads standard
// input, draws on standard output; one at a time. While it lives it catches SIGWINCH and SIGCONT.
class LineEditor {
 public:
  // History is read from the file and added to it; "": none is kept. Faults of the file are
  // ignored.
  // `interrupt` outlives the editor.
  LineEditor(std::string history_path, CatchInterrupt& interrupt);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  // `line`: UTF-8, without its line end; ill-formed input is U+FFFD.
  LineEnd read(const std::string& prompt, std::string& line);
  // Adds an input to the history, unless it repeats the one before.
  void remember(const std::string& input);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nautile::app
