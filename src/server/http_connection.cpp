#include "server/http_connection.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>

#include "server/error_reply.h"
#include "server/http_reply.h"

namespace nautile::server {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// How often a client that has sent too far ahead, and is therefore not read, is looked after.
constexpr double kWatchSeconds = 0.1;

Clock::duration duration_of(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

Connection::Connection(std::unique_ptr<Stream> stream, std::shared_ptr<Shared> shared)
    : shared_(std::move(shared)),
      stream_(std::move(stream)),
      since_(Clock::now().time_since_epoch().count()),
      parser_(shared_->limits),
      outbox_(shared_->limits.unread_bytes),
      timer_(stream_->executor()) {
  const std::lock_guard lock(shared_->mutex);
  shared_->connections.insert(this);
}

Connection::~Connection() {
  forget();
}

// A handler may hold its reply, and by that the connection, longer than the client does.
void Connection::forget() {
  const std::lock_guard lock(shared_->mutex);
  shared_->connections.erase(this);
  if (shared_->connections.empty()) shared_->idle.notify_all();
}

void Connection::start() {
  asio::post(stream_->executor(), [self = shared_from_this()] {
    self->set_deadline(self->shared_->limits.head_seconds);
    self->stream_->handshake([self](const error_code& error) {
      if (self->phase_ == Phase::closed) return;
      if (error) {
        self->close();
      } else {
        self->read_more();
      }
    });
  });
}

void Connection::close_soon() {
  asio::post(stream_->executor(), [self = shared_from_this()] { self->close(); });
}

void Connection::finish_soon() {
  asio::post(stream_->executor(), [self = shared_from_this()] {
    if (self->phase_ == Phase::closed) return;
    if (self->phase_ == Phase::answering || !self->outbox_.emptying()) {
      self->close();
    } else {
      self->phase_ = Phase::waiting;  // not lingering: nobody waits for the other side any more
      self->close_after_ = true;
    }
  });
}

bool Connection::push(std::string_view bytes, Outbox::Bound bound) {
  switch (outbox_.push(bytes, bound)) {
    case Outbox::Pushed::first:
      // At once if this is the strand: what is answered without a wait is not to wait for others.
      asio::dispatch(stream_->executor(), [self = shared_from_this()] { self->flush(); });
      return true;
    case Outbox::Pushed::behind:
      return true;
    case Outbox::Pushed::overrun:
      close_soon();
      return false;
    case Outbox::Pushed::shut:
      return false;
  }
  return false;
}

void Connection::answered(int status, After after) {
  // Once shut, the connection is being closed and sees itself to what is left.
  if (outbox_.is_shut()) return;
  asio::post(stream_->executor(), [self = shared_from_this(), status, after] {
    if (self->phase_ != Phase::answering) return;
    self->finish(status);
    if (after == After::abort) {
      self->close();
      return;
    }
    self->enter(Phase::waiting);
    self->set_deadline(self->shared_->limits.idle_seconds);
    if (after == After::close) {
      self->linger();
    } else {
      self->advance();
      self->read_more();
    }
  });
}

void Connection::pulse_every(double seconds) {
  asio::post(stream_->executor(), [self = shared_from_this(), seconds] {
    self->pulse_seconds_ = seconds;
    self->arm();
  });
}

void Connection::read_more() {
  if (reading_ || phase_ == Phase::closed) return;
  if (phase_ == Phase::answering && input_.size() >= shared_->limits.ahead_bytes) {
    arm();
    return;
  }
  reading_ = true;
  stream_->read(buffer_.data(), buffer_.size(),
                [self = shared_from_this()](const error_code& error, std::size_t bytes) {
                  self->on_read(error, bytes);
                });
}

void Connection::on_read(const error_code& error, std::size_t bytes) {
  reading_ = false;
  if (phase_ == Phase::closed) return;
  if (error) {
    client_left(error);
    return;
  }
  if (phase_ != Phase::lingering && !close_after_) {
    input_.append(buffer_.data(), bytes);
    advance();
  }
  read_more();
}

// Parses what has come, up to a request that can be answered.
void Connection::advance() {
  while (phase_ == Phase::waiting || phase_ == Phase::head || phase_ == Phase::body) {
    if (input_.empty() || !feed()) return;
  }
}

// One step of that; false if there is nothing more to do with the bytes at hand.
bool Connection::feed() {
  const bool first = !parser_.begun();
  const std::size_t used = parser_.feed(input_);
  input_.erase(0, used);
  if (first && parser_.begun()) {
    request_start_ = Clock::now();
    decided_ = false;
    enter(Phase::head);
    set_deadline(shared_->limits.head_seconds);
  }
  const RequestParser::State state = parser_.state();
  if (state == RequestParser::State::failed) {
    refuse(parser_.refusal());
    return false;
  }
  if (state == RequestParser::State::head) return false;
  if (phase_ == Phase::head && !on_head()) return false;
  if (state == RequestParser::State::body) {
    on_body_bytes();
    return !input_.empty();
  }
  dispatch();
  return false;
}

// The head is whole: decides. False if the request was refused and its body is not wanted.
bool Connection::on_head() {
  const RequestHead& head = parser_.head();
  decision_ = shared_->gate.decide(head);
  decided_ = true;
  if (decision_.refusal && head.has_body()) {
    refuse(*decision_.refusal);
    return false;
  }
  if (!head.has_body()) return true;
  enter(Phase::body);
  body_start_ = Clock::now();
  if (head.wants_continue && parser_.state() == RequestParser::State::body) {
    push("HTTP/1.1 100 Continue\r\n\r\n", Outbox::Bound::none);
  }
  return true;
}

void Connection::on_body_bytes() {
  const Limits& limits = shared_->limits;
  const double allowed =
      limits.body_seconds + static_cast<double>(parser_.body_received()) /
                                static_cast<double>(limits.body_bytes_per_second);
  set_deadline(allowed - seconds_since(body_start_));
}

void Connection::dispatch() {
  facts_ = facts_of(parser_.head(), decision_, request_start_);
  HttpRequest request = parser_.take();
  request.id = facts_.id;
  request.key = facts_.key;
  deadline_ = Clock::time_point::max();
  pulse_seconds_ = 0;
  const auto reply = begin_answer();
  if (decision_.refusal) {
    send_error(*reply, *decision_.refusal);
  } else if (decision_.endpoint == nullptr) {
    reply->send(204, "", "", {});
  } else {
    call_handler(request, reply);
  }
}

void Connection::call_handler(const HttpRequest& request, const std::shared_ptr<Reply>& reply) {
  if (shared_->log_prompts && !request.body.empty()) {
    shared_->log.write("prompt", {{"id", request.id}, {"body", request.body}});
  }
  std::string error;
  try {
    decision_.endpoint->handler(request, reply);
    return;
  } catch (const std::exception& thrown) {
    error = thrown.what();
  } catch (...) {
    error = "something that is no std::exception";
  }
  shared_->log.write("handler_failed",
                     {{"id", request.id}, {"route", decision_.route}, {"error", error}});
  // What was thrown may name files and addresses: it is for the log alone.
  Refusal refusal;
  refusal.status = 500;
  refusal.type = "server_error";
  refusal.code = "internal_error";
  refusal.message = fmt::format("the server failed; its log tells more of request {}", request.id);
  send_error(*reply, refusal);
}

// Answers what cannot be read to its end, and ends the connection.
void Connection::refuse(const Refusal& refusal) {
  facts_ = decided_ ? facts_of(parser_.head(), decision_, request_start_)
                    : facts_of_unread(request_start_);
  facts_.keep_alive = facts_.logged_by_handler = false;
  input_.clear();
  send_error(*begin_answer(), refusal);
}

// From here to finish() the request counts as being answered.
std::shared_ptr<Reply> Connection::begin_answer() {
  enter(Phase::answering);
  {
    const std::lock_guard lock(shared_->mutex);
    ++shared_->answering;
  }
  auto reply = std::make_shared<Reply>(shared_from_this(), facts_);
  reply_ = reply;
  return reply;
}

// The answer has ended, or will never.
void Connection::finish(int status) {
  reply_.reset();
  note_request(facts_, status, shared_->metrics, shared_->log);
  const std::lock_guard lock(shared_->mutex);
  if (--shared_->answering == 0) shared_->idle.notify_all();
}

void Connection::flush() {
  if (phase_ == Phase::closed) return;
  const std::string_view bytes = outbox_.next();
  if (bytes.empty()) {
    write_deadline_ = Clock::time_point::max();
    on_flushed();
    return;
  }
  write_deadline_ = Clock::now() + duration_of(shared_->limits.stall_seconds);
  arm();
  stream_->write(bytes.data(), bytes.size(),
                 [self = shared_from_this()](const error_code& error, std::size_t written) {
                   self->on_written(error, written);
                 });
}

void Connection::on_written(const error_code& error, std::size_t bytes) {
  if (phase_ == Phase::closed) return;
  if (error) {
    client_left(error);
    return;
  }
  outbox_.written(bytes);
  flush();
}

void Connection::on_flushed() {
  if (!close_after_ || phase_ == Phase::answering) return;
  close_after_ = false;
  if (phase_ == Phase::lingering) {
    stream_->end_writing();
    set_deadline(shared_->limits.linger_seconds);
  } else {
    close();
  }
}

// The other side has ended the connection, or it broke.
void Connection::client_left(const error_code& error) {
  const bool answering = phase_ == Phase::answering && !reply_.expired();
  // One that only ends its own side may still wait for what was answered before.
  if (error == asio::error::eof && outbox_.emptying() && !answering && phase_ != Phase::lingering) {
    if (phase_ == Phase::answering) return;  // `answered` is on its way; its write will find out
    close_after_ = true;
    return;
  }
  close();
}

// All is said. What still comes is read and thrown away for a while: closing at once would make the
// system answer those bytes with a reset, and the client might lose what it was told.
void Connection::linger() {
  enter(Phase::lingering);
  deadline_ = Clock::time_point::max();
  input_.clear();
  close_after_ = true;
  if (!outbox_.emptying()) on_flushed();
  read_more();
}

void Connection::close() {
  if (phase_ == Phase::closed) return;
  const bool answering = phase_ == Phase::answering;
  outbox_.shut();
  enter(Phase::closed);
  if (outbox_.overrun()) {
    shared_->metrics.count("nautile_http_slow_readers_total",
                           "Streams ended because their client did not read.", {});
  }
  if (const auto reply = reply_.lock()) {
    try {
      reply->left();
    } catch (const std::exception& error) {
      shared_->log.write("handler_failed", {{"id", facts_.id}, {"error", error.what()}});
    }
  }
  if (answering) finish(499);
  stream_->close();
  timer_.cancel();
  forget();
}

void Connection::enter(Phase phase) {
  phase_ = phase;
  since_ = Clock::now().time_since_epoch().count();
}

void Connection::set_deadline(double seconds) {
  deadline_ = Clock::now() + duration_of(seconds);
  arm();
}

// Sets the timer to whatever comes first; one that is set too early only looks and sets it again.
void Connection::arm() {
  if (phase_ == Phase::closed) return;
  Clock::time_point next = std::min(deadline_, write_deadline_);
  if (phase_ == Phase::answering) {
    if (pulse_seconds_ > 0) next = std::min(next, Clock::now() + duration_of(pulse_seconds_));
    if (!reading_) next = std::min(next, Clock::now() + duration_of(kWatchSeconds));
  }
  if (next >= armed_ || next == Clock::time_point::max()) return;
  armed_ = next;
  timer_.expires_at(next);
  timer_.async_wait([self = shared_from_this()](const error_code& error) {
    if (error == asio::error::operation_aborted) return;
    self->armed_ = Clock::time_point::max();
    self->on_timer();
  });
}

void Connection::on_timer() {
  if (phase_ == Phase::closed) return;
  const Clock::time_point now = Clock::now();
  if (now >= write_deadline_) {
    close();
    return;
  }
  if (now >= deadline_) {
    on_deadline();
    return;
  }
  if (phase_ == Phase::answering) {
    if (!reading_ && stream_->peer_closed()) {
      close();
      return;
    }
    if (const auto reply = reply_.lock()) reply->pulse(now);
  }
  arm();
}

void Connection::on_deadline() {
  deadline_ = Clock::time_point::max();
  if (phase_ != Phase::head && phase_ != Phase::body) {
    close();
    return;
  }
  Refusal refusal;
  refusal.status = 408;
  refusal.code = "request_timeout";
  refusal.message = phase_ == Phase::head ? "the request's head did not come in time"
                                          : "the request's body did not come in time";
  refuse(refusal);
}

}  // namespace nautile::server
