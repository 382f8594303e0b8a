#include "engine/answer_text.h"

#include <utility>

namespace nautile::engine {

void AnswerText::feed(TokenLogprob token, Stops stops) {
  waiting_.push_back({made_, std::move(token)});
  const std::string text = detokenizer_.feed(waiting_.back().token.token);
  made_ += text.size();
  text_ += stops == Stops::watched ? stops_.feed(text) : text;
}

void AnswerText::end() {
  const std::string rest = detokenizer_.flush();
  made_ += rest.size();
  text_ += stops_.feed(rest);
  text_ += stops_.flush();
  ended_ = true;
}

AnswerText::Piece AnswerText::take() {
  Piece piece{std::exchange(text_, {}), {}};
  out_ += piece.text.size();
  // A token without text goes with what follows, or with the end, unless a stop string took that.
  const auto begun = [this](const Waiting& w) { return w.begin < out_ || (ended_ && !stopped()); };
  while (!waiting_.empty() && begun(waiting_.front())) {
    piece.tokens.push_back(std::move(waiting_.front().token));
    waiting_.pop_front();
  }
  return piece;
}

}  // namespace nautile::engine
