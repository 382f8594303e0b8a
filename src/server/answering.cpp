// answering.cpp — submits, then turns events into deltas and deltas into bytes.
#include "server/answering.h"

#include <algorithm>

#include "server/adapters.h"
#include "server/ids.h"

namespace nautile::server {

using engine::Admission;
using engine::Event;
using engine::Finish;

Answering::Answering(std::shared_ptr<Service> service, std::shared_ptr<Ticket> ticket, Asked asked,
                     ErrorBody errors)
    : service_(std::move(service)),
      ticket_(std::move(ticket)),
      call_(std::move(asked.call)),
      manner_(std::move(asked.manner)),
      errors_(std::move(errors)) {
  ticket_->record.streamed = call_.delivery == Call::Delivery::streamed;
}

void Answering::start() {
  if (call_.adapters) call_.model = adapted_model(call_, service_->models().list());
  service_->add(shared_from_this());
  ticket_->reply->on_gone([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    {
      const std::lock_guard lock(self->mutex_);
      self->gone_ = true;
    }
    self->cancel();
  });
  service_->models().get(call_.model, [self = shared_from_this()](Models::Got got) {
    self->service_->workers().post_always(
        [self, got = std::move(got)] { self->prepare_and_submit(got); });
  });
}

void Answering::cancel() {
  std::vector<engine::RequestId> ids;
  std::shared_ptr<const ServedModel> model;
  {
    const std::lock_guard lock(mutex_);
    ids = ids_;
    model = model_;
  }
  for (const engine::RequestId id : ids) model->engine->cancel(id);
}

// Engines may hold a lock while they tell something; another thread can do it at any time.
void Answering::cancel_soon() {
  service_->workers().post_always([self = shared_from_this()] { self->cancel(); });
}

void Answering::refuse(const std::exception& thrown) {
  {
    const std::lock_guard lock(mutex_);
    state_ = State::ended;
    backlog_.clear();
  }
  cancel();
  service_->refuse(*ticket_, api_error_of(thrown), errors_);
}

void Answering::prepare_and_submit(const Models::Got& got) {
  try {
    if (!got.model) throw model_error(call_.model, got);
    {
      const std::lock_guard lock(mutex_);
      if (gone_) throw ApiError(499, "client_gone", "", "the client has gone away");
      model_ = got.model;
    }
    ticket_->record.model = model_->name;
    submit_all(prepare(call_, *model_, service_->grammars()));
    open();
  } catch (const std::exception& thrown) {
    refuse(thrown);
  }
}

void Answering::submit_all(Prepared prepared) {
  AnswerHead& head = answer_.head;
  head.id = new_id("");
  head.model = model_->name;
  head.fingerprint = model_->fingerprint;
  head.created = std::time(nullptr);
  head.tokenizer = model_->tokenizer;
  head.choices = static_cast<int>(prepared.requests.size()) * call_.choices;
  for (int i = 0; i < head.choices; ++i) {
    readers_.emplace_back(i, prepared.reasoning, prepared.tools, prepared.tool_names);
  }
  answer_.choices.resize(static_cast<std::size_t>(head.choices));
  echoes_ = std::move(prepared.echoes);
  unfinished_ = static_cast<std::size_t>(head.choices);
  for (const engine::Request& request : prepared.requests) {
    head.prompt_tokens += static_cast<std::int64_t>(request.prompt.size());
  }
  // Given up before the engine counts it, so that it is never counted twice.
  ticket_->coming.reset();
  parameters_ = prepared.requests.empty() ? "{}" : effective_parameters(prepared.requests.front());
  for (std::size_t i = 0; i < prepared.requests.size(); ++i) {
    const auto size = static_cast<std::int64_t>(prepared.requests[i].prompt.size());
    const Admission admission = model_->engine->submit(
        std::move(prepared.requests[i]),
        [self = shared_from_this(), i](const Event& event) { self->take(i, event); });
    switch (admission.kind) {
      case Admission::Kind::accepted:
        break;
      case Admission::Kind::queue_full:
        throw overloaded(admission.retry_after);
      case Admission::Kind::draining:
        throw draining();
      case Admission::Kind::too_long:
        throw context_exceeded(call_.kind == Call::Kind::chat ? "messages" : call_.prompts_path,
                               size, 1, admission.room);
    }
    const std::lock_guard lock(mutex_);
    ids_.push_back(admission.id);
  }
}

Headers Answering::headers() const {
  Headers headers = {{"x-nautile-parameters", parameters_}};
  std::string names;
  for (const std::string& name : call_.without_effect) {
    const bool plain = name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
                         return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                                (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
                       });
    if (plain && names.size() < 1024) names += (names.empty() ? "" : ", ") + name;
  }
  if (!names.empty()) headers.emplace_back("x-nautile-ignored", names);
  return headers;
}

// All is submitted: the answer begins, with what was said meanwhile.
void Answering::open() {
  const std::lock_guard lock(mutex_);
  state_ = State::open;
  const bool streamed = call_.delivery == Call::Delivery::streamed;
  if (streamed) {
    in_pieces_ = true;
    ticket_->reply->begin(200, manner_->stream_type(), headers());
    if (const std::string comment = manner_->keep_alive(); !comment.empty()) {
      ticket_->reply->keep_alive(service_->options().keep_alive_seconds, comment);
    }
    write(manner_->head(answer_.head));
  } else if (service_->options().dialect == Dialect::deepseek) {
    in_pieces_ = true;
    ticket_->reply->begin(200, "application/json", headers());
    ticket_->reply->keep_alive(service_->options().keep_alive_seconds, "\n");
  }
  ticket_->record.status = 200;
  for (const Early& early : std::exchange(backlog_, {})) {
    if (state_ == State::open) take_open(early.prompt, early.event);
  }
  if (state_ == State::open && unfinished_ == 0) complete();
  if (gone_) cancel_soon();
}

void Answering::take(std::size_t prompt, const Event& event) {
  const std::lock_guard lock(mutex_);
  if (state_ == State::preparing) {
    backlog_.push_back({prompt, event});
  } else if (state_ == State::open) {
    take_open(prompt, event);
  }
}

void Answering::take_open(std::size_t prompt, const Event& event) {
  try {
    const std::size_t choice =
        prompt * static_cast<std::size_t>(call_.choices) + static_cast<std::size_t>(event.choice);
    switch (event.kind) {
      case Event::Kind::started:
        return started(prompt, event);
      case Event::Kind::piece:
        for (Delta& delta : readers_[choice].push(event.text, event.tokens)) tell(std::move(delta));
        return;
      case Event::Kind::finished:
        return finished(choice, event);
      case Event::Kind::failed:
        return fail(event.error_kind == ErrorKind::unsupported
                        ? field_error("", "unsupported_value", event.error)
                        : internal_error(event.error));
    }
  } catch (const std::exception& thrown) {
    fail(api_error_of(thrown));
  }
}

void Answering::started(std::size_t prompt, const Event& event) {
  answer_.usage.prompt_tokens += event.usage.prompt_tokens;
  answer_.usage.cached_tokens += event.usage.cached_tokens;
  for (int i = 0; i < call_.choices; ++i) {
    Delta delta;
    delta.kind = Delta::Kind::started;
    delta.choice = static_cast<int>(prompt) * call_.choices + i;
    delta.prompt = event.prompt;
    if (prompt < echoes_.size()) delta.text = echoes_[prompt];
    tell(std::move(delta));
  }
}

void Answering::finished(std::size_t choice, const Event& event) {
  if (event.finish == Finish::cancelled) {
    return fail(ApiError(503, "server_error", "cancelled", "the server has cancelled the request"));
  }
  ChoiceReader& reader = readers_[choice];
  for (Delta& delta : reader.push(event.text, event.tokens)) tell(std::move(delta));
  for (Delta& delta : reader.finish()) tell(std::move(delta));
  Delta delta;
  delta.kind = Delta::Kind::finished;
  delta.choice = static_cast<int>(choice);
  delta.finish = event.finish;
  delta.stop = event.stop;
  delta.embedding = event.embedding;
  AnswerUsage& usage = answer_.usage;
  usage.completion_tokens += event.usage.completion_tokens;
  usage.reasoning_tokens += reader.reasoning_tokens();
  usage.queued_seconds = std::max(usage.queued_seconds, event.usage.queued_seconds);
  usage.prefill_seconds = std::max(usage.prefill_seconds, event.usage.prefill_seconds);
  usage.decode_seconds = std::max(usage.decode_seconds, event.usage.decode_seconds);
  --unfinished_;
  tell(std::move(delta));
  if (unfinished_ == 0 && state_ == State::open) complete();
}

void Answering::tell(Delta delta) {
  if (ticket_->record.first_token < 0 && delta.kind != Delta::Kind::started) {
    ticket_->record.first_token = ticket_->seconds();
  }
  if (call_.delivery == Call::Delivery::streamed) {
    write(manner_->text(delta));
    delta.tokens.clear();  // told, and not to be told again
    delta.prompt.clear();
  }
  answer_.take(delta);
}

void Answering::write(std::string_view bytes) {
  if (bytes.empty() || gone_) return;
  if (!ticket_->reply->write(bytes)) {
    gone_ = true;
    cancel_soon();
  }
}

void Answering::complete() {
  end(call_.delivery == Call::Delivery::streamed ? manner_->tail(answer_)
                                                 : manner_->whole(answer_));
}

void Answering::fail(const ApiError& error) {
  ticket_->record.error = error.what();
  if (unfinished_ > 1) cancel_soon();
  if (call_.delivery == Call::Delivery::streamed) return end(manner_->failure(error));
  if (in_pieces_) return end(errors_(error));
  ticket_->record.status = error.status;
  end(errors_(error));
}

void Answering::end(std::string bytes) {
  state_ = State::ended;
  RequestRecord& record = ticket_->record;
  record.client_gone = gone_;
  record.prompt_tokens = answer_.usage.prompt_tokens;
  record.cached_tokens = answer_.usage.cached_tokens;
  record.completion_tokens = answer_.usage.completion_tokens;
  service_->ended(*ticket_);
  if (in_pieces_) {
    write(bytes);
    ticket_->reply->end();
  } else {
    ticket_->reply->send(record.status, "application/json", std::move(bytes), headers());
  }
}

}  // namespace nautile::server
