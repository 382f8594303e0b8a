// delta.cpp — deltas joined.
#include "server/delta.h"

namespace nautile::server {

void Answer::take(const Delta& delta) {
  const auto at = static_cast<std::size_t>(delta.choice);
  if (choices.size() <= at) choices.resize(at + 1);
  AnswerChoice& choice = choices[at];
  const auto append = [&](std::vector<engine::TokenLogprob>& tokens) {
    tokens.insert(tokens.end(), delta.tokens.begin(), delta.tokens.end());
  };
  switch (delta.kind) {
    case Delta::Kind::started:
      choice.prompt = delta.prompt;
      choice.content = delta.text;
      break;
    case Delta::Kind::reasoning:
      choice.reasoning += delta.text;
      append(choice.reasoning_tokens);
      break;
    case Delta::Kind::content:
      choice.content += delta.text;
      append(choice.tokens);
      break;
    case Delta::Kind::call:
      choice.calls.push_back({delta.call_id, delta.text, ""});
      break;
    case Delta::Kind::arguments:
      choice.calls.back().arguments += delta.text;
      break;
    case Delta::Kind::call_ended:
      break;
    case Delta::Kind::finished:
      choice.finish = delta.finish;
      choice.stop = delta.stop;
      choice.embedding = delta.embedding;
      break;
  }
}

}  // namespace nautile::server
