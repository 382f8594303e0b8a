#include "server/http_reply.h"

#include <fmt/format.h>

#include <ctime>

#include "server/error_reply.h"

namespace nautile::server {
namespace {

// "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 §5.6.7).
std::string date_text() {
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  return fmt::format("{}, {:02} {} {} {:02}:{:02}:{:02} GMT", kDays[parts.tm_wday], parts.tm_mday,
                     kMonths[parts.tm_mon], parts.tm_year + 1900, parts.tm_hour, parts.tm_min,
                     parts.tm_sec);
}

// A line end in a value would begin a header of its own.
std::string one_line(std::string_view value) {
  std::string text(value);
  for (char& c : text) {
    if (c == '\r' || c == '\n' || c == '\0') c = ' ';
  }
  return text;
}

bool has_no_body(int status) {
  return status == 204 || status == 304 || (status >= 100 && status < 200);
}

bool has_header(const Headers& headers, std::string_view name) {
  for (const auto& [field, value] : headers) {
    if (same_header(field, name)) return true;
  }
  return false;
}

}  // namespace

Reply::Reply(std::shared_ptr<Connection> connection, const RequestFacts& facts)
    : connection_(std::move(connection)),
      id_(facts.id),
      extra_(facts.headers),
      minor_(facts.minor),
      head_only_(facts.head_only),
      keep_alive_(facts.keep_alive) {}

Reply::~Reply() {
  const std::lock_guard lock(mutex_);
  if (state_ == State::waiting) {
    send_locked(500, "application/json",
                error_body("the request was not answered", "server_error", "", "internal_error"),
                {});
  } else if (state_ == State::streaming) {
    connection_->answered(status_, Connection::After::abort);
  }
}

std::string Reply::head(int status, std::string_view content_type, const Headers& headers) const {
  std::string text =
      fmt::format("HTTP/1.1 {} {}\r\nDate: {}\r\n", status, status_text(status), date_text());
  if (!content_type.empty()) text += fmt::format("Content-Type: {}\r\n", one_line(content_type));
  text += fmt::format("Connection: {}\r\nx-request-id: {}\r\n",
                      keep_alive_ ? "keep-alive" : "close", id_);
  for (const Headers* list : {&extra_, &headers}) {
    for (const auto& [name, value] : *list)
      text += fmt::format("{}: {}\r\n", name, one_line(value));
  }
  return text;
}

Connection::After Reply::after() const {
  return keep_alive_ ? Connection::After::keep : Connection::After::close;
}

void Reply::send_locked(int status, std::string_view content_type, std::string_view body,
                        const Headers& headers) {
  if (connection_->shared().draining) keep_alive_ = false;
  const bool empty = has_no_body(status);
  std::string text = head(status, empty ? std::string_view() : content_type, headers);
  if (!empty) text += fmt::format("Content-Length: {}\r\n", body.size());
  text += "\r\n";
  if (!empty && !head_only_) text += body;
  state_ = State::ended;
  status_ = status;
  on_gone_ = nullptr;
  connection_->push(text, Outbox::Bound::none);
  connection_->answered(status, after());
}

void Reply::send(int status, std::string_view content_type, std::string body, Headers headers) {
  const std::lock_guard lock(mutex_);
  if (state_ == State::waiting) send_locked(status, content_type, body, headers);
}

void Reply::begin(int status, std::string_view content_type, Headers headers) {
  const std::lock_guard lock(mutex_);
  if (state_ != State::waiting) return;
  if (connection_->shared().draining || minor_ == 0) keep_alive_ = false;
  std::string text = head(status, content_type, headers);
  if (minor_ == 1) text += "Transfer-Encoding: chunked\r\n";
  if (!has_header(headers, "Cache-Control")) text += "Cache-Control: no-store\r\n";
  text += "X-Accel-Buffering: no\r\n\r\n";
  state_ = State::streaming;
  status_ = status;
  last_write_ = Clock::now();
  connection_->push(text, Outbox::Bound::unread);
  if (pulse_seconds_ > 0) connection_->pulse_every(pulse_seconds_);
}

bool Reply::write_locked(std::string_view bytes) {
  last_write_ = Clock::now();
  if (bytes.empty() || head_only_) return true;
  return connection_->push(
      minor_ == 1 ? fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes) : std::string(bytes),
      Outbox::Bound::unread);
}

bool Reply::write(std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  return state_ == State::streaming && write_locked(bytes);
}

void Reply::end() {
  const std::lock_guard lock(mutex_);
  if (state_ != State::streaming) return;
  state_ = State::ended;
  on_gone_ = nullptr;
  if (minor_ == 1 && !head_only_) connection_->push("0\r\n\r\n", Outbox::Bound::none);
  connection_->answered(status_, after());
}

void Reply::on_gone(std::function<void()> gone) {
  {
    const std::lock_guard lock(mutex_);
    if (state_ == State::ended) return;
    if (state_ != State::gone) {
      on_gone_ = std::move(gone);
      return;
    }
  }
  gone();
}

void Reply::left() {
  std::function<void()> gone;
  {
    const std::lock_guard lock(mutex_);
    if (state_ == State::ended || state_ == State::gone) return;
    state_ = State::gone;
    gone = std::move(on_gone_);
    on_gone_ = nullptr;
  }
  if (gone) gone();
}

void Reply::keep_alive(double seconds, std::string comment) {
  const std::lock_guard lock(mutex_);
  pulse_seconds_ = seconds;
  pulse_text_ = std::move(comment);
  if (state_ == State::streaming) connection_->pulse_every(seconds);
}

Clock::time_point Reply::pulse(Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  if (state_ != State::streaming || pulse_seconds_ <= 0) return Clock::time_point::max();
  const auto pause =
      std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(pulse_seconds_));
  if (now >= last_write_ + pause) write_locked(pulse_text_);
  return last_write_ + pause;
}

}  // namespace nautile::server
