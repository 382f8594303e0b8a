// http_fuzz.cpp — libFuzzer: any bytes as the requests of one connection, whole and cut; the first
// byte says how they are cut.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "server/gate.h"
#include "server/request_parser.h"

namespace {

using nautile::server::RequestParser;

struct Outcome {
  std::vector<std::string> requests;
  RequestParser::State state = RequestParser::State::head;
  bool operator==(const Outcome&) const = default;
};

Outcome parse(std::string_view bytes, std::size_t piece) {
  using namespace nautile::server;
  static constexpr Limits kLimits{.head_bytes = 1024, .header_fields = 10, .body_bytes = 4096};
  static const Gate gate(
      {{"GET", "/v1/models/*", nullptr}, {"POST", "/v1/chat/completions", nullptr}}, {});
  RequestParser parser(kLimits);
  Outcome outcome;
  bool decided = false;
  while (!bytes.empty() && parser.state() != RequestParser::State::failed) {
    const std::size_t used = parser.feed(bytes.substr(0, piece));
    // Nothing but the end of a head or of a request stops short.
    const bool moved = used > 0 || parser.state() != RequestParser::State::head;
    if (!moved) __builtin_trap();
    bytes.remove_prefix(used);
    const auto state = parser.state();
    if (!decided &&
        (state == RequestParser::State::body || state == RequestParser::State::complete)) {
      decided = true;
      gate.decide(parser.head());
    }
    if (state == RequestParser::State::complete) {
      const HttpRequest request = parser.take();
      if (request.body.size() > kLimits.body_bytes) __builtin_trap();
      outcome.requests.push_back(request.method + " " + request.path + "?" + request.query + "\n" +
                                 request.body);
      decided = false;
    }
  }
  outcome.state = parser.state();
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (parse(bytes, bytes.size()) != parse(bytes, 1U + data[0] % 32U)) __builtin_trap();
  return 0;
}
