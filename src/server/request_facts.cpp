#include "server/request_facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace nautile::server {
namespace {

// What may stand in logs and headers as it is.
bool is_request_id(std::string_view text) {
  constexpr std::size_t kLongest = 128;
  return !text.empty() && text.size() <= kLongest &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  c == '-' || c == '_' || c == '.';
         });
}

// "req-" and 24 hex digits.
std::string make_request_id() {
  thread_local std::mt19937_64 random{(std::uint64_t{std::random_device{}()} << 32) ^
                                      std::random_device{}()};
  return fmt::format("req-{:016x}{:08x}", random(), static_cast<std::uint32_t>(random()));
}

// Labels must be few: clients make up methods.
std::string method_label(const std::string& method) {
  static constexpr std::string_view kMethods[] = {"GET",     "HEAD", "POST",
                                                  "OPTIONS", "PUT",  "DELETE"};
  const bool known =
      std::find(std::begin(kMethods), std::end(kMethods), method) != std::end(kMethods);
  return known ? method : "other";
}

}  // namespace

RequestFacts facts_of(const RequestHead& head, const Gate::Decision& decision,
                      Clock::time_point start) {
  const HttpRequest& request = head.request;
  const std::string_view id = request.header("x-request-id");
  RequestFacts facts;
  facts.id = is_request_id(id) ? std::string(id) : make_request_id();
  facts.key = decision.key;
  facts.method = request.method;
  facts.route = decision.route;
  facts.headers = decision.headers;
  facts.minor = head.minor;
  facts.head_only = request.method == "HEAD";
  facts.keep_alive = head.keep_alive;
  facts.logged_by_handler =
      decision.endpoint != nullptr && decision.endpoint->log == Endpoint::Log::handler;
  facts.start = start;
  return facts;
}

RequestFacts facts_of_unread(Clock::time_point start) {
  RequestFacts facts;
  facts.id = make_request_id();
  facts.method = facts.route = "other";
  facts.start = start;
  return facts;
}

void note_request(const RequestFacts& facts, int status, Metrics& metrics, JsonLog& log) {
  const double seconds = std::chrono::duration<double>(Clock::now() - facts.start).count();
  metrics.count("nautile_http_requests_total", "Requests answered, by status.",
                {{"method", method_label(facts.method)},
                 {"route", facts.route},
                 {"status", std::to_string(status)}});
  metrics.observe("nautile_http_request_seconds",
                  "From a request's first byte to its answer's last.", {{"route", facts.route}},
                  seconds);
  if (facts.logged_by_handler) return;
  log.write("request", {{"id", facts.id},
                        {"key", facts.key},
                        {"method", facts.method},
                        {"route", facts.route},
                        {"status", status},
                        {"ms", std::round(seconds * 1e4) / 10}});
}

}  // namespace nautile::server
