// request_facts.h — RequestFacts: what a request's answer and its line in the log need of it. For
// the server's own sources.
#pragma once

#include <chrono>
#include <string>

#include "server/gate.h"
#include "server/json_log.h"
#include "server/metrics.h"
#include "server/request_parser.h"

namespace nautile::server {

using Clock = std::chrono::steady_clock;

struct RequestFacts {
  std::string id;                  // the client's own, if it can do no harm, or a random one
  std::string key, method, route;  // route: the endpoint's path, or "other"
  Headers headers;                 // of whatever is answered
  int minor = 1;                   // HTTP/1.x
  bool head_only = false, keep_alive = true;
  bool logged_by_handler = false;
  Clock::time_point start;  // its first byte
};

// Of a request whose head has been read and decided on.
RequestFacts facts_of(const RequestHead& head, const Gate::Decision& decision,
                      Clock::time_point start);
// Of one whose head never came whole.
RequestFacts facts_of_unread(Clock::time_point start);

// The request has been answered with `status`, or its client is gone (499): counts it, and writes
// its line unless its handler does.
void note_request(const RequestFacts& facts, int status, Metrics& metrics, JsonLog& log);

}  // namespace nautile::server
