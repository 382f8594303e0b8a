#include "server/gate.h"

#include <arpa/inet.h>

#include <algorithm>

#include "base/error.h"

namespace nautile::server {
namespace {

bool is_address(const std::string& name) {
  unsigned char bytes[16];
  return inet_pton(AF_INET, name.c_str(), bytes) == 1 ||
         inet_pton(AF_INET6, name.c_str(), bytes) == 1;
}

bool has(const std::vector<std::string>& list, std::string_view word) {
  return std::any_of(list.begin(), list.end(),
                     [&](const std::string& entry) { return same_header(entry, word); });
}

// "https://a.example:443" -> "a.example:443"; "" if that is no origin of a page.
std::string_view authority_of(std::string_view origin) {
  const std::size_t scheme = origin.find("://");
  return scheme == std::string_view::npos ? std::string_view() : origin.substr(scheme + 3);
}

// Without the port that the scheme has anyway.
std::string_view without_default_port(std::string_view authority, std::string_view origin) {
  const std::string_view port = origin.starts_with("https://") ? ":443" : ":80";
  if (authority.ends_with(port)) authority.remove_suffix(port.size());
  return authority;
}

bool same_origin(std::string_view origin, std::string_view host) {
  const std::string_view authority = authority_of(origin);
  return !authority.empty() &&
         same_header(without_default_port(authority, origin), without_default_port(host, origin));
}

// The key that a request shows: Authorization before x-api-key.
std::string_view shown_key(const HttpRequest& request) {
  constexpr std::string_view kBearer = "Bearer ";
  const std::string_view authorization = request.header("authorization");
  if (authorization.empty()) return request.header("x-api-key");
  if (authorization.size() < kBearer.size() ||
      !same_header(authorization.substr(0, kBearer.size()), kBearer)) {
    return {};
  }
  return authorization.substr(kBearer.size());
}

Refusal forbidden(std::string message, std::string code) {
  Refusal refusal;
  refusal.status = 403;
  refusal.message = std::move(message);
  refusal.type = "permission_error";
  refusal.code = std::move(code);
  return refusal;
}

}  // namespace

std::string host_name(std::string_view host) {
  std::string name;
  if (host.starts_with('[')) {
    const std::size_t end = host.find(']');
    if (end == std::string_view::npos) return std::string(host);
    name = host.substr(1, end - 1);
  } else {
    name = host.substr(0, host.find(':'));
  }
  if (name.ends_with('.')) name.pop_back();
  for (char& c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
  return name;
}

bool is_loopback_name(std::string_view name) {
  const std::string text(name);
  if (text == "localhost" || text.ends_with(".localhost")) return true;
  unsigned char bytes[16];
  if (inet_pton(AF_INET, text.c_str(), bytes) == 1) return bytes[0] == 127;
  if (inet_pton(AF_INET6, text.c_str(), bytes) != 1) return false;
  return std::all_of(bytes, bytes + 15, [](unsigned char byte) { return byte == 0; }) &&
         bytes[15] == 1;
}

Gate::Gate(std::vector<Endpoint> endpoints, GateOptions options)
    : router_(std::move(endpoints)), options_(std::move(options)) {}

bool Gate::known_host(std::string_view host) const {
  const std::string name = host_name(host);
  return name.empty() || is_loopback_name(name) || is_address(name) || has(options_.hosts, "*") ||
         has(options_.hosts, name);
}

bool Gate::listed_origin(std::string_view origin) const {
  return has(options_.origins, "*") || has(options_.origins, origin);
}

std::optional<Refusal> Gate::check_key(const HttpRequest& request, std::string& name) const {
  if (options_.keys.empty()) return std::nullopt;
  const std::string_view shown = shown_key(request);
  if (const std::string* found = options_.keys.find(shown); found != nullptr) {
    name = *found;
    return std::nullopt;
  }
  Refusal refusal;
  refusal.status = 401;
  refusal.type = "authentication_error";
  refusal.code = "invalid_api_key";
  refusal.message = shown.empty()
                        ? "this needs an API key, in the header 'Authorization: Bearer KEY'"
                        : "this API key is not known";
  refusal.headers = {{"WWW-Authenticate", "Bearer"}};
  return refusal;
}

void Gate::preflight(const HttpRequest& request, Decision& decision) const {
  const std::string allow =
      request.path == "*" ? "GET, HEAD, POST, OPTIONS" : router_.allowed(request.path);
  if (allow.empty()) {
    decision.refusal = std::get<Refusal>(router_.find(request));
    return;
  }
  decision.headers.emplace_back("Allow", allow);
  if (request.header("origin").empty() || !listed_origin(request.header("origin"))) return;
  decision.headers.emplace_back("Access-Control-Allow-Methods", allow);
  // Clients have names of their own for headers; that one may be sent says nothing of being heard.
  const std::string_view wanted = request.header("access-control-request-headers");
  if (!wanted.empty()) {
    decision.headers.emplace_back("Access-Control-Allow-Headers", std::string(wanted));
  }
  decision.headers.emplace_back("Access-Control-Max-Age", "600");
}

Gate::Decision Gate::decide(const RequestHead& head) const {
  const HttpRequest& request = head.request;
  Decision decision;
  if (!known_host(head.host)) {
    decision.refusal =
        forbidden(fmt::format("this server is not called '{}'; --allow-host makes it so",
                              host_name(head.host)),
                  "host_not_allowed");
    return decision;
  }
  if (const std::string_view origin = request.header("origin"); !origin.empty()) {
    if (listed_origin(origin)) {
      decision.headers = {{"Access-Control-Allow-Origin", std::string(origin)},
                          {"Access-Control-Expose-Headers", "x-request-id, retry-after"},
                          {"Vary", "Origin"}};
    } else if (!same_origin(origin, head.host)) {
      decision.refusal = forbidden(
          "pages of other origins may not ask this server; --cors lets them", "origin_not_allowed");
      return decision;
    }
  }
  if (request.method == "OPTIONS") {
    preflight(request, decision);
    return decision;
  }
  auto found = router_.find(request);
  const auto* endpoint = std::get_if<const Endpoint*>(&found);
  if (endpoint != nullptr) decision.route = (*endpoint)->path;
  // Without a key nobody learns which paths there are.
  if (endpoint == nullptr || (*endpoint)->access == Access::key) {
    decision.refusal = check_key(request, decision.key);
    if (decision.refusal) return decision;
  }
  if (endpoint != nullptr) {
    decision.endpoint = *endpoint;
  } else {
    decision.refusal = std::get<Refusal>(std::move(found));
  }
  return decision;
}

}  // namespace nautile::server
