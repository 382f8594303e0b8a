// echo_speaker.h — EchoSpeaker: one choice of a request to an EchoEngine.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "engine/request.h"
#include "engine/stop_strings.h"
#include "text/detokenizer.h"

namespace nautile::server {

// The fake logprob of a token with `count` alternatives, itself the first.
engine::TokenLogprob echo_logprob(TokenId id, int count, std::int32_t vocabulary);

class EchoSpeaker {
 public:
  // Says `plan`, then an end token. The request and the tokenizer must outlive it; `room` is of
  // tokens in the context behind the prompt.
  EchoSpeaker(const Tokenizer& tokenizer, const engine::Request& request, int choice,
              std::vector<TokenId> plan, std::int64_t room);

  // Fills the next token's event; true when it is the last. Throws Error as GrammarState does.
  bool say(engine::Event& event);
  std::int64_t said() const { return static_cast<std::int64_t>(history_.size()); }

 private:
  struct Held {
    engine::TokenLogprob token;
    std::size_t begin;  // of its text in all that was spoken
  };

  TokenId next();
  TokenId planned();
  TokenId by_grammar();
  TokenId closing();
  bool ends(TokenId id) const;
  void let_out(engine::Event& event, const std::string& text);
  bool end(engine::Event& event, engine::Finish finish, std::string stop);

  const engine::Request& request_;
  int choice_;
  std::int32_t vocabulary_;
  const std::vector<TokenId>& end_ids_;
  Detokenizer detokenizer_;
  engine::StopStrings stops_;
  std::vector<TokenId> plan_;
  std::size_t at_ = 0;  // in plan_
  std::int64_t most_ = 0;
  engine::Finish at_most_ = engine::Finish::length;
  std::optional<GrammarState> grammar_;
  bool lost_ = false;    // the grammar refused the plan
  bool closed_ = false;  // the reasoning
  std::size_t closing_ = 0;
  std::vector<TokenId> history_;
  std::deque<Held> held_;
  std::size_t spoken_ = 0, out_ = 0;  // bytes
};

}  // namespace nautile::server
