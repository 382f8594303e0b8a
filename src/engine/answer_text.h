// answer_text.h — AnswerText: what a choice says, from tokens to text that may be let out.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "engine/request.h"
#include "engine/stop_strings.h"
#include "text/detokenizer.h"

namespace nautile::engine {

// Keeps each token until its text begins to be let out. The tokenizer outlives it.
class AnswerText {
 public:
  // Throws as StopStrings does.
  AnswerText(const Tokenizer& tokenizer, SkipSpecial skip, std::vector<std::string> stops)
      : detokenizer_(tokenizer, skip), stops_(std::move(stops)) {}

  // unwatched: stop strings do not count yet; for the first tokens only.
  enum class Stops : std::uint8_t { watched, unwatched };
  void feed(TokenLogprob token, Stops stops);
  // The end of the answer: what was held back comes out.
  void end();

  bool stopped() const { return stops_.stopped(); }
  const std::string& matched() const { return stops_.matched(); }

  // What is let out since the last call.
  struct Piece {
    std::string text;
    std::vector<TokenLogprob> tokens;
    bool empty() const { return text.empty() && tokens.empty(); }
  };
  Piece take();

 private:
  struct Waiting {
    std::size_t begin;  // bytes of text before it
    TokenLogprob token;
  };

  Detokenizer detokenizer_;
  StopStrings stops_;
  std::size_t made_ = 0;  // bytes that came out of the detokenizer
  std::size_t out_ = 0;   // bytes let out
  std::deque<Waiting> waiting_;
  std::string text_;
  bool ended_ = false;
};

}  // namespace nautile::engine
