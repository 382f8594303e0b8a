// http_server.h — HttpServer: listens, keeps connections within the limits, and hands requests on.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "server/gate.h"
#include "server/json_log.h"
#include "server/limits.h"
#include "server/metrics.h"

namespace nautile::server {

struct ServerOptions {
  std::string host = "127.0.0.1";  // a name or a numeric address
  std::uint16_t port = 0;          // 0: one that is free
  std::string certificate, key;    // PEM files of TLS; empty: none
  int threads = 2;                 // that read, parse, call handlers and write
  Limits limits;
  enum class Prompts : std::uint8_t { secret, logged } prompts = Prompts::secret;
};

// HTTP/1.1 (and 1.0) with keep-alive, pipelining and chunked bodies. A connection has a read
// pending at all times, so that a client that leaves is noticed whatever is being done for it.
// Handlers are called from the server's threads and must not wait; what they throw becomes a 500.
class HttpServer {
 public:
  // Listens when it returns. `metrics` and `log` outlive it. Throws Error(failure), naming address
  // and reason, if it cannot listen, and as TlsContext.
  HttpServer(const ServerOptions& options, Gate gate, Metrics& metrics, JsonLog& log);
  // stop().
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::uint16_t port() const;
  std::string url() const;  // "http://127.0.0.1:8080"

  // Takes no more connections; those that are there close after their next answer.
  void drain();
  // Waits until no answer is under way -> whether that came within `seconds`.
  bool wait_idle(double seconds);
  // Ends all connections and waits for the threads; clients that are being answered are cut off,
  // and their handlers told.
  void stop();

  struct Counts {
    std::int64_t connections = 0;
    std::int64_t answering = 0;  // requests that a handler was given and whose answer goes on
  };
  Counts counts() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nautile::server
