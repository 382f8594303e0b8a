// request_head.cpp — parse_request_head: request line and header fields.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/strings.h"
#include "server/error_reply.h"
#include "server/request_parser.h"

namespace nautile::server {
namespace {

// What ends the parsing of a head; caught in parse_request_head.
struct BadHead {
  int status;
  std::string message;
};

bool is_token_char(char c) {
  if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return true;
  return std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_token(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    if (!is_token_char(c)) return false;
  }
  return true;
}

bool is_control(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7f;
}

// Whether a comma-separated list has `word`.
bool list_has(std::string_view list, std::string_view word) {
  while (!list.empty()) {
    if (same_header(next_member(list), word)) return true;
  }
  return false;
}

// "/path?query", "http://host/path?query" (which names the host), or "*".
void read_target(RequestHead& head, std::string_view target) {
  for (const char c : target) {
    if (is_control(c) || c == ' ')
      throw BadHead{400, "the request's target has a control character"};
  }
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (target.size() < scheme.size() || !same_header(target.substr(0, scheme.size()), scheme)) {
      continue;
    }
    target.remove_prefix(scheme.size());
    const std::size_t slash = target.find_first_of("/?");
    head.host = target.substr(0, slash);
    target.remove_prefix(std::min(slash, target.size()));
    if (head.host.empty()) throw BadHead{400, "the request's target has no host"};
    break;
  }
  if (target == "*" && head.request.method == "OPTIONS") {
    head.request.path = "*";
    return;
  }
  const std::size_t mark = target.find('?');
  if (mark != std::string_view::npos) head.request.query = target.substr(mark + 1);
  target = target.substr(0, mark);
  if (target.empty() && !head.host.empty()) target = "/";  // an absolute target may leave it out
  if (!target.starts_with('/')) throw BadHead{400, "the request's target does not begin with '/'"};
  const auto path = percent_decoded(target);
  if (!path) throw BadHead{400, "the request's path has a broken percent escape"};
  head.request.path = *path;
}

void read_request_line(RequestHead& head, std::string_view line) {
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) {
    throw BadHead{400, "the request line is not 'METHOD TARGET HTTP/1.1'"};
  }
  const std::string_view method = line.substr(0, first), version = line.substr(last + 1);
  if (!is_token(method)) throw BadHead{400, "the request's method is no word"};
  head.request.method = method;
  if (version == "HTTP/1.0") {
    head.minor = 0;
  } else if (version != "HTTP/1.1") {
    const bool other = version.size() == 8 && version.starts_with("HTTP/");
    throw BadHead{other ? 505 : 400, "expected HTTP/1.1 at the end of the request line"};
  }
  read_target(head, line.substr(first + 1, last - first - 1));
}

void read_field(RequestHead& head, std::string_view line) {
  if (line.front() == ' ' || line.front() == '\t') {
    throw BadHead{400, "a header field goes on in a second line"};
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) {
    throw BadHead{400, "a header field is not 'Name: value'"};
  }
  const std::string_view value = trimmed(line.substr(colon + 1), " \t");
  for (const char c : value) {
    if (is_control(c) && c != '\t') {
      throw BadHead{400,
                    fmt::format("the header {} has a control character", line.substr(0, colon))};
    }
  }
  head.request.headers.emplace_back(line.substr(0, colon), value);
}

// The one value of a header; throws if there are several.
std::optional<std::string_view> only_one(const HttpRequest& request, std::string_view name) {
  std::optional<std::string_view> found;
  for (const auto& [field, value] : request.headers) {
    if (!same_header(field, name)) continue;
    if (found) throw BadHead{400, fmt::format("the header {} is there twice", name)};
    found = value;
  }
  return found;
}

void read_framing(RequestHead& head) {
  const auto length = only_one(head.request, "Content-Length");
  const auto coding = only_one(head.request, "Transfer-Encoding");
  if (coding) {
    if (length) throw BadHead{400, "Content-Length beside Transfer-Encoding"};
    if (head.minor == 0) throw BadHead{400, "Transfer-Encoding in a request of HTTP/1.0"};
    if (!same_header(*coding, "chunked")) {
      throw BadHead{501, "Transfer-Encoding: expected chunked alone"};
    }
    head.chunked = true;
  }
  if (!length) return;
  const auto [end, error] =
      std::from_chars(length->data(), length->data() + length->size(), head.body_length);
  // from_chars takes no sign and no blank here: the type has none, and blanks are trimmed.
  if (error == std::errc::result_out_of_range) throw BadHead{413, "Content-Length is too large"};
  if (error != std::errc() || end != length->data() + length->size()) {
    throw BadHead{400, "Content-Length is no number"};
  }
}

void read_fields(RequestHead& head) {
  read_framing(head);
  const HttpRequest& request = head.request;
  const auto host = only_one(request, "Host");
  if (!host && head.minor == 1) throw BadHead{400, "a request of HTTP/1.1 needs the header Host"};
  if (host && head.host.empty()) head.host = *host;

  bool close = false, keep = false;
  for (const auto& [field, value] : request.headers) {
    if (!same_header(field, "Connection")) continue;
    close = close || list_has(value, "close");
    keep = keep || list_has(value, "keep-alive");
  }
  head.keep_alive = !close && (head.minor == 1 || keep);

  if (const auto expect = only_one(request, "Expect"); expect && head.minor == 1) {
    if (!same_header(*expect, "100-continue"))
      throw BadHead{417, "Expect: only 100-continue is known"};
    head.wants_continue = true;
  }
  const std::string_view coding = request.header("Content-Encoding");
  if (!coding.empty() && !same_header(coding, "identity")) {
    throw BadHead{415, "Content-Encoding: bodies are taken as they are, not compressed"};
  }
}

}  // namespace

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded += text[i];
      continue;
    }
    unsigned byte = 0;
    if (i + 2 >= text.size()) return std::nullopt;
    const auto [end, error] = std::from_chars(text.data() + i + 1, text.data() + i + 3, byte, 16);
    if (error != std::errc() || end != text.data() + i + 3 || byte == 0) return std::nullopt;
    decoded += static_cast<char>(byte);
    i += 2;
  }
  return decoded;
}

std::variant<RequestHead, Refusal> parse_request_head(std::string_view text, const Limits& limits) {
  RequestHead head;
  try {
    std::size_t begin = 0;
    for (bool first = true;; first = false) {
      const std::size_t end = text.find("\r\n", begin);
      if (end == std::string_view::npos) throw BadHead{400, "a line of the head has no end"};
      const std::string_view line = text.substr(begin, end - begin);
      begin = end + 2;
      if (first) {
        read_request_line(head, line);
      } else if (line.empty()) {
        break;
      } else {
        if (head.request.headers.size() == limits.header_fields) {
          throw BadHead{431, fmt::format("more than {} header fields", limits.header_fields)};
        }
        read_field(head, line);
      }
    }
    read_fields(head);
    if (head.body_length > limits.body_bytes) {
      throw BadHead{413, fmt::format("the body has {} bytes, the limit is {}", head.body_length,
                                     limits.body_bytes)};
    }
    return head;
  } catch (const BadHead& bad) {
    Refusal refusal;
    refusal.status = bad.status;
    refusal.message = bad.message;
    return refusal;
  }
}

}  // namespace nautile::server
