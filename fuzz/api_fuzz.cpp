// api_fuzz.cpp — foreign bodies of requests, to every endpoint that reads one.
//
// The first byte chooses the endpoint, by its place in the list of routes; the rest is the body.
// Each must be answered, and with JSON or a stream of it, whatever it says. All is done on one
// thread, and nothing is kept that grows: libFuzzer looks for leaks, which stops all threads and
// takes 20 ms, after every run that has allocated more than it has freed.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "server/server_testing.h"

namespace {

using nautile::server::Route;

nautile::server::TestApi& api() {
  static auto* const kApi = [] {
    nautile::server::EchoOptions options = nautile::server::saying("Hm.</think>Yes.");
    options.context = 256;
    options.thread = nautile::server::EchoOptions::Thread::callers;
    nautile::server::ApiOptions limits;
    limits.workers = 0;
    limits.grammar_bytes = std::size_t{4} << 20;
    return new nautile::server::TestApi(options, nautile::server::kReasoningTemplate, limits);
  }();
  return *kApi;
}

const std::vector<Route>& posts() {
  static const std::vector<Route> kPosts = [] {
    std::vector<Route> routes;
    for (const Route& route : api().api.routes()) {
      if (route.method == "POST") routes.push_back(route);
    }
    return routes;
  }();
  return kPosts;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const Route& route = posts()[data[0] % posts().size()];
  const auto reply =
      api().post(route.path, std::string(reinterpret_cast<const char*>(data) + 1, size - 1));
  const int status = reply->status();
  NAUTILE_ASSERT(status == 200 || (status >= 400 && status < 500), "{}: status {}: {}", route.path,
                 status, reply->body());
  if (!reply->streamed()) (void)reply->json();
  api().meter.forget();
  return 0;
}
