// request_parser.h — RequestParser: from the bytes of a connection to one HTTP/1.1 request.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "server/exchange.h"
#include "server/limits.h"
#include "server/router.h"

namespace nautile::server {

// What the head says about how to go on.
struct RequestHead {
  HttpRequest request;  // without body, id and key
  int minor = 1;        // HTTP/1.x
  bool keep_alive = true;
  bool chunked = false;
  bool wants_continue = false;    // Expect: 100-continue
  std::uint64_t body_length = 0;  // told by Content-Length; 0 if chunked or none
  std::string host;               // as the client named us: Host, or of an absolute target; or ""
  bool has_body() const { return chunked || body_length > 0; }
};

// Takes bytes in pieces of any size and never looks at one twice; keeps no more than the limits
// allow. Strict where servers have been at odds with one another (RFC 9112): lines end in CRLF, no
// folded headers, no NUL, no blank before a colon, one Host, at most one Content-Length, never
// Content-Length beside Transfer-Encoding, chunk sizes of hexadecimal digits alone.
class RequestParser {
 public:
  // The limits outlive the parser.
  explicit RequestParser(const Limits& limits) : limits_(&limits) {}

  enum class State : std::uint8_t { head, body, complete, failed };
  State state() const { return state_; }

  // Takes bytes -> how many; stops behind the head, behind the body, and at the first wrong byte.
  std::size_t feed(std::string_view bytes);

  bool begun() const { return begun_; }                    // a byte of the request has come
  std::size_t body_received() const { return received_; }  // [bytes], with what surrounds chunks
  const RequestHead& head() const { return head_; }        // from State::body on
  const Refusal& refusal() const { return refusal_; }      // State::failed
  // The request with its body; then the parser waits for the next one. Call when complete.
  HttpRequest take();

 private:
  enum class Part : std::uint8_t { size, size_end, data, data_cr, data_lf, trailer };

  std::size_t feed_head(std::string_view bytes);
  std::size_t feed_known(std::string_view bytes);
  std::size_t feed_chunked(std::string_view bytes);
  std::size_t feed_chunk_data(std::string_view bytes);
  void feed_size_line(char byte);
  void end_size_line();
  void feed_trailer(char byte);
  void end_head();
  void refuse(int status, std::string message);

  const Limits* limits_;
  State state_ = State::head;
  bool begun_ = false;
  std::string head_text_;
  RequestHead head_;
  Refusal refusal_;
  std::string body_;
  std::size_t received_ = 0;
  Part part_ = Part::size;
  std::string line_;  // of a chunk's size, or a trailer
  std::uint64_t chunk_left_ = 0;
  std::size_t trailer_bytes_ = 0;
};

// The head of a request (its lines, each with CRLF, and the empty one) -> what it says, or why not.
// Text within the limits' bytes. Used by RequestParser; public for tests.
std::variant<RequestHead, Refusal> parse_request_head(std::string_view text, const Limits& limits);

// "%41" -> "A"; none if an escape is broken or stands for NUL.
std::optional<std::string> percent_decoded(std::string_view text);

}  // namespace nautile::server
