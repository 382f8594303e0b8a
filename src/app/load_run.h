// load_run.h — run_load: clients that ask a server at once, each anew as soon as it is answered.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "app/load_answer.h"

namespace nautile::app {

// A server's address, of "http://HOST[:PORT][/PATH]".
struct LoadTarget {
  std::string host;    // without the brackets of IPv6
  std::string port;    // as digits
  std::string prefix;  // of all paths: "" or "/x"; a last "/v1" is left out
  std::string authority() const;
};
// Throws Error(usage), naming what is wrong; Error(unsupported) for https.
LoadTarget parse_target(const std::string& url);

struct LoadRequest {
  std::string method = "POST", path;  // "/v1/chat/completions"
  std::string body;                   // JSON; empty: none
};

struct LoadPlan {
  LoadTarget target;
  std::string api_key;  // as Authorization: Bearer; empty: none
  std::vector<LoadRequest> requests;
  int clients = 1;
  double timeout = 600;  // seconds for one answer
};

struct LoadRun {
  std::vector<LoadAnswer> answers;  // [requests], in their order
  double seconds = 0;               // from the first connection to the last byte
};

// Each client takes the next request when its last one is answered, over a connection of its own.
// What goes wrong with a request is in its answer. `watch(done)` is called some ten times a second;
// what it throws ends the run. Throws Error(failure) if the host has no address, or if the system
// does not let this process have so many connections.
LoadRun run_load(const LoadPlan& plan, const std::function<void(std::size_t done)>& watch);

}  // namespace nautile::app
