#include "server/request_parser.h"

#include <algorithm>
#include <charconv>

#include "base/error.h"

namespace nautile::server {
namespace {

// Empty lines before a request that are let pass (RFC 9112 §2.2).
constexpr std::size_t kEmptyLines = 2;

}  // namespace

void RequestParser::refuse(int status, std::string message) {
  state_ = State::failed;
  refusal_.status = status;
  refusal_.message = std::move(message);
}

std::size_t RequestParser::feed(std::string_view bytes) {
  begun_ = begun_ || !bytes.empty();
  switch (state_) {
    case State::head:
      return feed_head(bytes);
    case State::body: {
      const std::size_t used = head_.chunked ? feed_chunked(bytes) : feed_known(bytes);
      received_ += used;
      return used;
    }
    case State::complete:
    case State::failed:
      return 0;
  }
  return 0;
}

std::size_t RequestParser::feed_head(std::string_view bytes) {
  std::size_t used = 0;
  while (used < bytes.size()) {
    const std::size_t line_end = bytes.find('\n', used);
    const bool whole = line_end != std::string_view::npos;
    const std::string_view piece =
        bytes.substr(used, whole ? line_end + 1 - used : std::string_view::npos);
    if (head_text_.size() + piece.size() > limits_->head_bytes) {
      refuse(431, fmt::format("the request's head has more than {} bytes", limits_->head_bytes));
      return used;
    }
    head_text_ += piece;
    used += piece.size();
    if (!whole) break;
    if (!head_text_.ends_with("\r\n")) {
      refuse(400, "a line of the head does not end in CR LF");
      return used;
    }
    if (head_text_.size() <= 2 * kEmptyLines &&
        head_text_.find_first_not_of("\r\n") == std::string::npos) {
      continue;
    }
    if (head_text_.ends_with("\r\n\r\n")) {
      end_head();
      return used;
    }
  }
  return used;
}

void RequestParser::end_head() {
  std::string_view text = head_text_;
  while (text.starts_with("\r\n")) text.remove_prefix(2);
  auto parsed = parse_request_head(text, *limits_);
  if (auto* refusal = std::get_if<Refusal>(&parsed)) {
    refuse(refusal->status, std::move(refusal->message));
    return;
  }
  head_ = std::move(std::get<RequestHead>(parsed));
  std::string().swap(head_text_);
  state_ = head_.has_body() ? State::body : State::complete;
  part_ = Part::size;
}

std::size_t RequestParser::feed_known(std::string_view bytes) {
  const auto left = static_cast<std::size_t>(head_.body_length) - body_.size();
  const std::size_t used = std::min(left, bytes.size());
  body_.append(bytes.substr(0, used));
  if (used == left) state_ = State::complete;
  return used;
}

std::size_t RequestParser::feed_chunked(std::string_view bytes) {
  std::size_t used = 0;
  while (used < bytes.size() && state_ == State::body) {
    if (part_ == Part::data) {
      used += feed_chunk_data(bytes.substr(used));
      continue;
    }
    const char byte = bytes[used++];
    switch (part_) {
      case Part::size:
        feed_size_line(byte);
        break;
      case Part::size_end:
        if (byte == '\n') {
          end_size_line();
        } else {
          refuse(400, "a chunk's size line does not end in CR LF");
        }
        break;
      case Part::data_cr:
      case Part::data_lf:
        if (byte != (part_ == Part::data_cr ? '\r' : '\n')) {
          refuse(400, "a chunk is longer than its size says");
        }
        part_ = part_ == Part::data_cr ? Part::data_lf : Part::size;
        break;
      case Part::trailer:
        feed_trailer(byte);
        break;
      case Part::data:
        break;
    }
  }
  return used;
}

std::size_t RequestParser::feed_chunk_data(std::string_view bytes) {
  const auto used = static_cast<std::size_t>(std::min<std::uint64_t>(chunk_left_, bytes.size()));
  body_.append(bytes.substr(0, used));
  chunk_left_ -= used;
  if (chunk_left_ == 0) part_ = Part::data_cr;
  return used;
}

void RequestParser::feed_size_line(char byte) {
  if (byte == '\r') {
    part_ = Part::size_end;
  } else if (byte == '\n' || (static_cast<unsigned char>(byte) < 0x20 && byte != '\t')) {
    refuse(400, "a chunk's size line has a control character");
  } else if (line_.size() == limits_->chunk_line_bytes) {
    refuse(400, "a chunk's size line is too long");
  } else {
    line_ += byte;
  }
}

void RequestParser::end_size_line() {
  // What follows ';' are extensions, which nobody has defined.
  const std::string_view digits = std::string_view(line_).substr(0, line_.find_first_of("; \t"));
  const std::string_view rest = std::string_view(line_).substr(digits.size());
  const std::size_t mark = rest.find_first_not_of(" \t");
  std::uint64_t size = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), size, 16);
  const bool number = error != std::errc::invalid_argument &&
                      end == digits.data() + digits.size() &&
                      (mark == std::string_view::npos || rest[mark] == ';');
  if (!number) {
    refuse(400, "a chunk's size is no hexadecimal number");
  } else if (error != std::errc() || size > limits_->body_bytes - body_.size()) {
    refuse(413, fmt::format("the body has more than {} bytes", limits_->body_bytes));
  }
  line_.clear();
  chunk_left_ = size;
  part_ = size == 0 ? Part::trailer : Part::data;
}

void RequestParser::feed_trailer(char byte) {
  if (++trailer_bytes_ > limits_->trailer_bytes) {
    refuse(431, fmt::format("the trailers have more than {} bytes", limits_->trailer_bytes));
    return;
  }
  line_ += byte;
  if (byte == '\0' || (byte == '\n' && !line_.ends_with("\r\n"))) {
    refuse(400, "a trailer does not end in CR LF");
  } else if (line_ == "\r\n") {
    state_ = State::complete;
  } else if (byte == '\n') {
    // Nothing that a trailer could say is of use.
    if (line_.find(':') == std::string::npos) refuse(400, "a trailer is not 'Name: value'");
    line_.clear();
  }
}

HttpRequest RequestParser::take() {
  NAUTILE_ASSERT(state_ == State::complete, "a request is taken before it is whole");
  HttpRequest request = std::move(head_.request);
  request.body = std::move(body_);
  *this = RequestParser(*limits_);
  return request;
}

}  // namespace nautile::server
