#include "server/router.h"

#include "base/error.h"

namespace nautile::server {
namespace {

// "application/json; charset=utf-8" -> "application/json".
std::string_view media_type(std::string_view value) {
  value = value.substr(0, value.find(';'));
  while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.remove_suffix(1);
  return value;
}

Refusal wrong_type(std::string_view found) {
  Refusal refusal;
  refusal.status = 415;
  refusal.code = "unsupported_media_type";
  refusal.message =
      found.empty() ? "this needs the header 'Content-Type: application/json'"
                    : fmt::format("expected 'Content-Type: application/json', found '{}'", found);
  return refusal;
}

}  // namespace

Router::Router(std::vector<Endpoint> endpoints) {
  for (Endpoint& endpoint : endpoints) {
    const bool star = endpoint.path.ends_with('*');
    const std::string path =
        star ? endpoint.path.substr(0, endpoint.path.size() - 1) : endpoint.path;
    Methods& methods = (star ? starred_ : exact_)[path];
    const std::string method = endpoint.method;
    const bool fresh = methods.emplace(method, std::move(endpoint)).second;
    NAUTILE_ASSERT(fresh, "two endpoints for {} {}", method, path);
  }
}

const Router::Methods* Router::methods(std::string_view path) const {
  if (const auto found = exact_.find(path); found != exact_.end()) return &found->second;
  // Of the prefixes of a path the longest is the last in order.
  for (auto it = starred_.upper_bound(path); it != starred_.begin();) {
    --it;
    if (path.size() > it->first.size() && path.starts_with(it->first)) return &it->second;
  }
  return nullptr;
}

std::string Router::allowed(std::string_view path) const {
  const Methods* found = methods(path);
  if (found == nullptr) return {};
  std::string text;
  for (const auto& [method, endpoint] : *found) {
    text += method + ", ";
    if (method == "GET" && !found->contains("HEAD")) text += "HEAD, ";
  }
  return text + "OPTIONS";
}

std::variant<const Endpoint*, Refusal> Router::find(const HttpRequest& request) const {
  const Methods* found = methods(request.path);
  if (found == nullptr) {
    Refusal refusal;
    refusal.code = "not_found";
    refusal.message = fmt::format("there is no {}", request.path);
    return refusal;
  }
  auto it = found->find(request.method);
  if (it == found->end() && request.method == "HEAD") it = found->find("GET");
  if (it == found->end()) {
    Refusal refusal;
    refusal.status = 405;
    refusal.code = "method_not_allowed";
    const std::string allow = allowed(request.path);
    refusal.message = fmt::format("{} {}: expected {}", request.method, request.path, allow);
    refusal.headers = {{"Allow", allow}};
    return refusal;
  }
  if (it->second.body == BodyType::json) {
    const std::string_view type = media_type(request.header("content-type"));
    if (!same_header(type, "application/json")) return wrong_type(type);
  }
  return &it->second;
}

}  // namespace nautile::server
