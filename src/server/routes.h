// routes.h — Api: the endpoints that programs speak to, as a table of handlers over engines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "server/exchange.h"
#include "server/models.h"

namespace nautile::server {

// Whose habits the OpenAI endpoints have. deepseek: 422 for parameters out of range, blank lines
// before a JSON that is waited for, usage in the last chunk of a stream, its rules for
// reasoning_content.
enum class Dialect : std::uint8_t { openai, deepseek };

// Most of what one request may hold; more is a 400 that names the field. The server's own limits
// (bytes of headers and body) come before.
struct ApiLimits {
  int json_depth = 64;
  std::size_t json_values = 1'000'000;
  std::size_t messages = 4096;
  std::size_t tools = 128;
  std::size_t prompts = 256;  // of one request for completions or embeddings
  int choices = 8;            // n
  std::size_t stops = 16;
  std::size_t schema_bytes = std::size_t{256} << 10;
  std::size_t biases = 1024;  // logit_bias
};

struct ApiOptions {
  Dialect dialect = Dialect::openai;
  ApiLimits limits;
  int workers = 2;  // threads that parse, render templates and compile grammars; 0: the caller's
  std::size_t waiting = 256;  // requests that wait for them; more are refused with 429
  std::size_t grammar_bytes = std::size_t{256} << 20;  // of the cache of compiled grammars
  double keep_alive_seconds = 10;
  std::string version;  // of the program, for /api/version and the OpenAPI document
};

// What became of one request; times in seconds since it came, -1 where it did not get so far.
struct RequestRecord {
  std::string route;  // "/v1/chat/completions"
  std::string id, key, model;
  int status = 0;         // as sent; of a stream that failed: 200
  std::string error;      // for the log, or ""
  bool streamed = false;  // asked for
  bool client_gone = false;
  double first_token = -1;  // to the first text
  double seconds = -1;      // to the end
  std::int64_t prompt_tokens = 0, cached_tokens = 0, completion_tokens = 0;
};

// Told of each request once, when it has ended, from any thread. Must not block.
class Meter {
 public:
  virtual ~Meter() = default;
  virtual void ended(const RequestRecord& record) = 0;
};

struct Route {
  std::string method;
  std::string path;  // "/v1/models", or "/v1/models/*": all that goes on after the last slash
  Handler handler;
};

// Owns the workers. Handlers return at once; what they were given is answered later, from a worker
// or an engine's thread. Safe for concurrent use.
class Api {
 public:
  // `models` and `meter` must outlive it and what its handlers have begun.
  Api(Models& models, ApiOptions options, Meter& meter);
  // Ends the workers; what waits for one is let go unanswered (a 500, by HttpReply's promise).
  ~Api();

  // OpenAI's, Anthropic's and Ollama's endpoints, the former also without "/v1" and below "/beta",
  // and GET /openapi.json. Two routes never match one path.
  const std::vector<Route>& routes() const;
  // Asks engines to end what runs; its answers end with an error.
  void cancel_all();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nautile::server
