// exchange.h — HttpRequest and HttpReply: what a handler is given, and how it answers, now or
// later.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nautile::server {

using Headers = std::vector<std::pair<std::string, std::string>>;

// Whether two names of headers are the same: without case, in ASCII.
bool same_header(std::string_view a, std::string_view b);

// A request whose limits, host and key have been checked. Names of headers compare without case.
struct HttpRequest {
  std::string method;  // "GET"
  std::string path;    // "/v1/models", percent-decoded, without the query
  std::string query;   // after '?', as sent
  Headers headers;
  std::string body;
  std::string id;   // of the request, for logs and the header x-request-id
  std::string key;  // name of the API key it came with, or ""

  std::string_view header(std::string_view name) const;  // "" if there is none
};

// The way back to the client; shared by the connection and whoever answers. Safe for concurrent
// use; nothing here waits. Either send(), or begin(), write()… and end(). What is not answered when
// the last owner lets go becomes a 500.
class HttpReply {
 public:
  virtual ~HttpReply() = default;

  virtual void send(int status, std::string_view content_type, std::string body,
                    Headers headers = {}) = 0;

  // A body in pieces of unknown number (chunked).
  virtual void begin(int status, std::string_view content_type, Headers headers = {}) = 0;
  // False if the client is gone, or has let more than the limit of unread bytes pile up, which ends
  // the connection.
  virtual bool write(std::string_view bytes) = 0;
  virtual void end() = 0;

  // Called once, from a thread of the server, if the client goes away before the answer has ended;
  // at once if it has gone already.
  virtual void on_gone(std::function<void()> gone) = 0;
  // Sends `comment` again and again, after each `seconds` in which nothing was written, while a
  // stream runs (": keep-alive\n\n"); before begin() nothing is sent.
  virtual void keep_alive(double seconds, std::string comment) = 0;
};

using Handler = std::function<void(const HttpRequest&, std::shared_ptr<HttpReply>)>;

}  // namespace nautile::server
