// service_testing.h — a Service over an engine that echoes, with one small endpoint, for tests of
// who is let in and of many threads at once.
#pragma once

#include <memory>

#include "server/completion_manner.h"
#include "server/http_testing.h"
#include "server/server_testing.h"
#include "server/service.h"
#include "server/watched_engine.h"

namespace nautile::server {

// {"prompt", "max_tokens", "stream"}: completions in which no field is checked.
inline Asked read_test_completion(const Json& body) {
  Asked asked;
  asked.call.kind = Call::Kind::completion;
  asked.call.prompts = {body.value("prompt", "")};
  asked.call.max_tokens = body.value("max_tokens", 16);
  asked.call.end_token = engine::EndToken::ignored;
  const bool streamed = body.value("stream", false);
  asked.call.delivery = streamed ? Call::Delivery::streamed : Call::Delivery::whole;
  asked.manner = std::make_unique<CompletionManner>(Call::UsageChunk::none, -1, Dialect::openai);
  return asked;
}

struct TestService {
  explicit TestService(EchoOptions options, ApiOptions api_options = {})
      : model(std::make_unique<EchoModel>(std::move(options))),
        watched(model->engine, metrics, "echo", {}),
        models({model->served}),
        service(std::make_shared<Service>(models, std::move(api_options), meter)) {
    model->served->engine = &watched;
    ask = service->answers("/ask", read_test_completion, openai_error_body);
    tell = service->tells(
        "/tell", [](const Json& body, const ServedModel&) { return body; }, openai_error_body);
  }
  // Requests that have not ended end with their engine, which `watched` must outlive.
  ~TestService() {
    service->stop();
    model.reset();
  }
  TestService(const TestService&) = delete;
  TestService& operator=(const TestService&) = delete;

  // What the handler said; it goes on by itself.
  std::shared_ptr<RecordingReply> begin(const Handler& handler, std::string body) const {
    HttpRequest request;
    request.method = "POST";
    request.body = std::move(body);
    request.id = "req-test";
    auto reply = std::make_shared<RecordingReply>();
    handler(request, reply);
    return reply;
  }

  RecordingMeter meter;  // outlives the engine's thread
  Metrics metrics;
  std::unique_ptr<EchoModel> model;
  WatchedEngine watched;
  FixedModels models;
  std::shared_ptr<Service> service;
  Handler ask, tell;
};

}  // namespace nautile::server
