// batch_runner.h — BatchRunner: a file of requests in OpenAI's batch format, answered into another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "server/routes.h"

namespace nautile::server {

struct BatchCounts {
  std::int64_t all = 0;      // requests in the file
  std::int64_t before = 0;   // answered by an earlier run
  std::int64_t done = 0;     // answered by this one
  std::int64_t refused = 0;  // of those: with a status other than 200
};

// Lines in: {"custom_id", "method": "POST", "url": "/v1/…", "body"}. Lines out, as answers come:
// {"id", "custom_id", "response": {"status_code", "request_id", "body"}, "error"}. A request whose
// custom_id is in the file of answers already is not asked again, so that a run that was broken off
// goes on; what a crash left of a last line is cut away.
class BatchRunner {
 public:
  // Routes of an Api that outlives it; `in_flight` requests are asked at a time.
  BatchRunner(const std::vector<Route>& routes, std::size_t in_flight)
      : routes_(routes), in_flight_(in_flight) {}

  // Reads all of `in` before it asks anything. Throws Error(bad_input) with the file and line for
  // what is no such request, Error(failure) where a file cannot be read or written.
  // `go_on` is asked several times a second; when it says no, what is being answered is let go of,
  // and what has been answered stays.
  enum class Going : std::uint8_t { on, stop };
  BatchCounts run(const std::string& in, const std::string& out,
                  const std::function<Going(const BatchCounts&)>& go_on) const;

 private:
  const std::vector<Route>& routes_;
  std::size_t in_flight_;
};

}  // namespace nautile::server
