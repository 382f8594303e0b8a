// ops_endpoints.h — /health and /metrics: for those who run the server.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "server/metrics.h"
#include "server/models.h"
#include "server/router.h"

namespace nautile::server {

// What the endpoints ask when they are asked; all of it is safe for concurrent use.
struct OpsSources {
  // "ok", or why no request would be answered now: "loading", "draining".
  std::function<std::string()> state;
  // Appends metrics of its own (append_metric).
  std::function<void(std::string&)> gauges;
};

// GET /health: 200 {"status":"ok"} or 503 {"status":"loading"}; open to all, since it tells no more
// and load balancers have no key. GET /metrics: Prometheus' text format 0.0.4. GET /v1/models and
// the like are not here. `metrics` and what the sources refer to outlive the endpoints.
std::vector<Endpoint> ops_endpoints(Metrics& metrics, OpsSources sources);

// The counts of one engine under names of ours, each labelled with its model; one call for all, as
// a name may be there once.
struct NamedCounts {
  std::string model;
  engine::EngineCounts counts;
};
void append_engine_metrics(std::string& text, const std::vector<NamedCounts>& engines);

}  // namespace nautile::server
