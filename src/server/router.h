// router.h — Endpoint and Router: which handler answers a request, and what is refused before it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "server/exchange.h"

namespace nautile::server {

enum class Access : std::uint8_t { key, open };  // open: needs no API key

// What a request's body may be. json: content-type application/json, else 415.
enum class BodyType : std::uint8_t { any, json };

struct Endpoint {
  std::string method;  // "GET" (HEAD is answered by it, too), "POST", …
  // "/v1/models", or "/v1/models/*": all that begins with what stands before the star and goes on.
  std::string path;
  Handler handler = nullptr;
  Access access = Access::key;
  BodyType body = BodyType::any;
  // Who writes the line in the log of a request that the handler was given: the server, or whoever
  // knows more of it.
  enum class Log : std::uint8_t { server, handler } log = Log::server;
};

// Why a request has no handler.
struct Refusal {
  int status = 404;
  std::string message, type = "invalid_request_error", param, code;
  Headers headers;  // Allow, WWW-Authenticate, …
};

// Immutable once made; safe for concurrent use.
class Router {
 public:
  // The longest path wins; of one path, each method once (our own promise).
  explicit Router(std::vector<Endpoint> endpoints);

  // The endpoint of a request, or 404, 405 with Allow, 415. OPTIONS of a known path is none: see
  // allowed().
  std::variant<const Endpoint*, Refusal> find(const HttpRequest& request) const;
  // "GET, HEAD, OPTIONS" of a path, or "" if none is known.
  std::string allowed(std::string_view path) const;

 private:
  using Methods = std::map<std::string, Endpoint, std::less<>>;
  const Methods* methods(std::string_view path) const;

  std::map<std::string, Methods, std::less<>> exact_, starred_;  // starred: without the star
};

}  // namespace nautile::server
