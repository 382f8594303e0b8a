// reasoning.h — splits a model's streamed text into reasoning and answer.
#pragma once

#include <string>
#include <string_view>

namespace nautile {

// What the prompt says about the text that follows it.
enum class ReasoningMode {
  none,      // all of it is answer
  inside,    // the prompt opened <think>: reasoning up to the first </think>, or to the end
  may_open,  // reasoning only if the text begins with <think>
};

// Splits text that arrives in pieces; how it is cut does not change the result. The tags themselves
// are dropped, also a <think> that the model repeats after the prompt's own; all other bytes come
// out once, in order.
class ReasoningSplitter {
 public:
  explicit ReasoningSplitter(ReasoningMode mode);

  struct Piece {
    std::string reasoning;
    std::string content;
  };
  // Takes the next text; what may be the beginning of a tag is held back.
  Piece push(std::string_view text);
  // The end of the text: what was held back.
  Piece finish();
  // Whether the next text would be reasoning, as far as is known.
  bool in_reasoning() const { return state_ == State::reasoning; }

 private:
  enum class State {
    start,  // nothing but white space so far: a <think> may follow
    reasoning,
    content,
  };
  // Moves what is certain from held_ to the piece; false if nothing more can be decided.
  bool advance(Piece& piece);
  bool leave_start(Piece& piece);

  ReasoningMode mode_;
  State state_;
  std::string held_;
};

}  // namespace nautile
