// live_request.h — LiveRequest: a request that an engine has not answered to the end.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/sequence.h"

namespace nautile::engine {

class LiveRequest;

// A choice with the request it belongs to.
struct Choice {
  LiveRequest& request;
  Sequence sequence;
  // following: waits until the first choice has computed the prompt.
  enum class State : std::uint8_t { waiting, running, following, ended } state = State::waiting;
};

// Tells its sink what happens. The engine's thread alone uses it.
class LiveRequest {
 public:
  // Throws Error(usage) or Error(bad_input) naming what of the request cannot be.
  LiveRequest(RequestId id, Request asked, EventSink sink, Clock::time_point submitted,
              const Tokenizer& tokenizer, std::int32_t vocabulary, std::int64_t room,
              std::uint64_t first_order);
  LiveRequest(const LiveRequest&) = delete;
  LiveRequest& operator=(const LiveRequest&) = delete;

  RequestId id() const { return id_; }
  const Request& request() const { return request_; }
  std::vector<std::unique_ptr<Choice>>& choices() { return choices_; }
  bool wants_token() const { return request_.task == Task::generate && !request_.generate_nothing; }
  bool wants_prompt_logprobs() const { return request_.prompt_logprobs >= 0; }

  // The first choice is admitted, with so many tokens of the prompt from the cache; again after a
  // preemption.
  void admit(std::int64_t cached);
  bool admitted() const { return admitted_ != Clock::time_point{}; }
  void found_more(std::int64_t cached) { cached_ += started_ ? 0 : cached; }
  // What was gathered of the prompt's rows is void: they are computed again.
  void restart();

  // One token of the prompt, from logits of the row before; from any thread, one for each token.
  void tell_prompt_token(std::size_t index, std::span<const float> logits, ChoiceScratch& scratch);
  // Adds hidden rows [n, D] after the final norm, in order of position.
  void add_embedding(Tensor rows);

  // Events. The prompt is computed:
  void start();
  bool started() const { return started_; }
  void tell(Choice& choice);  // what text is ready, if any
  void finish(Choice& choice, Finish finish);
  void fail(const std::string& error, ErrorKind kind);  // of all choices
  std::int64_t cached_tokens() const { return cached_; }

 private:
  Usage usage(const Sequence* sequence) const;
  std::vector<float> embedding() const;
  Event event_of(Event::Kind kind, const Choice* choice) const;
  void emit(const Event& event);

  RequestId id_;
  Request request_;
  EventSink sink_;
  std::vector<std::unique_ptr<Choice>> choices_;
  Clock::time_point submitted_, admitted_{}, started_at_{};
  std::int64_t cached_ = 0;
  bool started_ = false;
  std::vector<TokenLogprob> prompt_;  // [n], if asked for
  std::vector<double> sum_;           // [D] of Task::embed
};

}  // namespace nautile::engine
