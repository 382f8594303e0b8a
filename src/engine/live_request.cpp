#include "engine/live_request.h"

#include <cmath>
#include <limits>
#include <utility>

#include "base/error.h"

namespace nautile::engine {
namespace {

double seconds(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

void check(const Request& request, std::int32_t vocabulary) {
  if (request.prompt.empty()) fail(ErrorKind::usage, "the prompt has no tokens");
  if (request.choices < 1)
    fail(ErrorKind::usage, "{} choices: expected 1 or more", request.choices);
  for (std::size_t i = 0; i < request.prompt.size(); ++i) {
    if (request.prompt[i] < 0 || request.prompt[i] >= vocabulary) {
      fail(ErrorKind::usage, "token {} of the prompt is {}: this model's tokens are 0 to {}", i,
           request.prompt[i], vocabulary - 1);
    }
  }
  if (!request.reasoning) return;
  if (request.reasoning->close.empty())
    fail(ErrorKind::usage, "the reasoning budget has no tokens to close with");
  for (const TokenId token : request.reasoning->close) {
    if (token < 0 || token >= vocabulary)
      fail(ErrorKind::usage, "the reasoning budget closes with token {}: this model's are 0 to {}",
           token, vocabulary - 1);
  }
}

}  // namespace

LiveRequest::LiveRequest(RequestId id, Request asked, EventSink sink, Clock::time_point submitted,
                         const Tokenizer& tokenizer, std::int32_t vocabulary, std::int64_t room,
                         std::uint64_t first_order)
    : id_(id), request_(std::move(asked)), sink_(std::move(sink)), submitted_(submitted) {
  check(request_, vocabulary);
  const int count = request_.task == Task::embed ? 1 : request_.choices;
  const Sequence::Shared shared{request_, tokenizer, vocabulary, room};
  for (int i = 0; i < count; ++i) {
    choices_.push_back(std::unique_ptr<Choice>(
        new Choice{*this, Sequence(shared, i, first_order + static_cast<std::uint64_t>(i)),
                   i == 0 ? Choice::State::waiting : Choice::State::following}));
  }
  restart();
}

void LiveRequest::admit(std::int64_t cached) {
  if (started_) return;
  if (!admitted()) admitted_ = Clock::now();
  cached_ = cached;
}

void LiveRequest::restart() {
  if (started_) return;
  sum_.clear();
  prompt_.clear();
  if (!wants_prompt_logprobs()) return;
  prompt_.resize(request_.prompt.size());
  prompt_[0] = {request_.prompt[0], std::numeric_limits<float>::quiet_NaN(), {}};
}

void LiveRequest::tell_prompt_token(std::size_t index, std::span<const float> logits,
                                    ChoiceScratch& scratch) {
  prompt_[index] = told_token(request_.prompt[index], request_.prompt_logprobs, logits, scratch);
}

void LiveRequest::add_embedding(Tensor rows) {
  sum_.resize(static_cast<std::size_t>(rows.cols()));
  for (std::int64_t i = 0; i < rows.rows(); ++i) {
    for (std::size_t d = 0; d < sum_.size(); ++d) sum_[d] += rows.row(i)[d];
  }
}

std::vector<float> LiveRequest::embedding() const {
  std::vector<float> mean;
  for (const double sum : sum_) {
    mean.push_back(static_cast<float>(sum / static_cast<double>(request_.prompt.size())));
    if (!std::isfinite(mean.back()))
      throw make_error(ErrorKind::failure, "the embedding's value {} is {}", mean.size() - 1,
                       mean.back());
  }
  return mean;
}

Usage LiveRequest::usage(const Sequence* sequence) const {
  const Clock::time_point now = Clock::now();
  Usage usage{.prompt_tokens = static_cast<std::int64_t>(request_.prompt.size()),
              .cached_tokens = cached_};
  usage.queued_seconds = seconds(submitted_, admitted() ? admitted_ : now);
  if (admitted()) usage.prefill_seconds = seconds(admitted_, started_ ? started_at_ : now);
  if (started_) usage.decode_seconds = seconds(started_at_, now);
  if (sequence) usage.completion_tokens = sequence->completion_tokens();
  return usage;
}

// A sink that throws against its promise is told nothing more.
void LiveRequest::emit(const Event& event) {
  if (!sink_) return;
  try {
    sink_(event);
  } catch (...) {
    sink_ = nullptr;
  }
}

Event LiveRequest::event_of(Event::Kind kind, const Choice* choice) const {
  Event event;
  event.kind = kind;
  event.choice = choice ? choice->sequence.choice() : 0;
  return event;
}

void LiveRequest::start() {
  started_ = true;
  started_at_ = Clock::now();
  Event event = event_of(Event::Kind::started, nullptr);
  event.prompt = std::move(prompt_);
  event.usage = usage(nullptr);
  emit(event);
}

void LiveRequest::tell(Choice& choice) {
  AnswerText::Piece piece = choice.sequence.take_text();
  if (piece.empty()) return;
  Event event = event_of(Event::Kind::piece, &choice);
  event.text = std::move(piece.text);
  event.tokens = std::move(piece.tokens);
  emit(event);
}

void LiveRequest::finish(Choice& choice, Finish finish) {
  Event event = event_of(Event::Kind::finished, &choice);
  if (finish != Finish::cancelled) {
    if (request_.task == Task::embed) event.embedding = embedding();
    choice.sequence.end();
    tell(choice);
  }
  event.finish = finish;
  event.stop = choice.sequence.stop();
  event.usage = usage(&choice.sequence);
  emit(event);
}

void LiveRequest::fail(const std::string& error, ErrorKind kind) {
  Event event = event_of(Event::Kind::failed, nullptr);
  event.finish = Finish::failed;
  event.usage = usage(nullptr);
  event.error = error;
  event.error_kind = kind;
  emit(event);
}

}  // namespace nautile::engine
