// gate.h — Gate: decides by a request's head alone who is let in, and to which handler.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/api_keys.h"
#include "server/request_parser.h"
#include "server/router.h"

namespace nautile::server {

struct GateOptions {
  ApiKeys keys;  // none: nobody needs one
  // Names by which clients may call the server besides localhost and numeric addresses, which no
  // foreign page can make a browser send (DNS rebinding); "*": any.
  std::vector<std::string> hosts;
  // Origins ("https://chat.example") whose pages may read answers (CORS); "*": any.
  std::vector<std::string> origins;
};

// Immutable; safe for concurrent use.
class Gate {
 public:
  Gate(std::vector<Endpoint> endpoints, GateOptions options);

  // One of: an endpoint, a refusal, or (OPTIONS) an empty answer of status 204.
  struct Decision {
    const Endpoint* endpoint = nullptr;
    std::optional<Refusal> refusal;
    std::string route = "other";  // for metrics: the endpoint's path
    std::string key;              // name of the API key
    Headers headers;              // of whatever is answered
  };
  Decision decide(const RequestHead& head) const;

 private:
  bool known_host(std::string_view host) const;
  bool listed_origin(std::string_view origin) const;
  std::optional<Refusal> check_key(const HttpRequest& request, std::string& name) const;
  void preflight(const HttpRequest& request, Decision& decision) const;

  Router router_;
  GateOptions options_;
};

// "Example.com:80" -> "example.com"; "[::1]:8080" -> "::1". What is no host stays as it is.
std::string host_name(std::string_view host);
// Numeric addresses that only this machine has, and localhost.
bool is_loopback_name(std::string_view name);

}  // namespace nautile::server
