// serve_endpoints.h — ServeEndpoints: all that a server answers: the APIs, the page, health and
// metrics.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "app/served_models.h"
#include "server/http_server.h"
#include "server/router.h"
#include "server/routes.h"

namespace nautile::app {

// What /health says; changes from anywhere.
struct ServeState {
  enum class Phase : std::uint8_t { loading, ok, draining };
  std::atomic<Phase> phase{Phase::loading};
};

enum class PageShown : std::uint8_t { yes, no };

class ServeEndpoints {
 public:
  // All but the options outlive it; their version is set here.
  ServeEndpoints(ServedModels& models, server::Metrics& metrics, server::JsonLog& log,
                 ServeState& state, const server::ApiOptions& options);
  ~ServeEndpoints();

  std::vector<server::Endpoint> list(PageShown page);
  // Whose connections /metrics tells of; before, of none. It is not asked after cancel_all().
  void watch(const server::HttpServer& http);
  // Ends what is being answered; call when the server has stopped.
  void cancel_all();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nautile::app
