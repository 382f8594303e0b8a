// routes.cpp — every path and its handler.
#include "server/routes.h"

#include <utility>

#include "server/adapters.h"
#include "server/anthropic.h"
#include "server/ollama.h"
#include "server/openai_chat.h"
#include "server/openai_completions.h"
#include "server/openapi.h"
#include "server/responses.h"
#include "server/service.h"
#include "server/small_endpoints.h"

namespace nautile::server {

namespace {

ErrorBody body_of(Operation::Errors errors) {
  switch (errors) {
    case Operation::Errors::anthropic:
      return anthropic_error_body;
    case Operation::Errors::ollama:
      return ollama_error_body;
    case Operation::Errors::openai:
      break;
  }
  return openai_error_body;
}

}  // namespace

struct Api::Impl {
  Impl(Models& models, ApiOptions options, Meter& meter)
      : service(std::make_shared<Service>(models, std::move(options), meter)) {}

  using Read = Asked (*)(const Json& body, const ApiOptions& options);
  using Tell = Json (*)(const Json& body, const ServedModel& model, const ApiOptions& options);
  using Show = Json (*)(const Models& models, const std::string& name);

  void add(Operation operation, Handler handler) {
    routes.push_back({operation.method, operation.path, std::move(handler)});
    operations.push_back(std::move(operation));
  }
  void asks(Operation operation, Read read) {
    operation.method = "POST";
    Handler handler = service->answers(
        operation.path,
        [read, shape = *operation.body, options = service->options()](const Json& body) {
          shape.check(body, "");
          Asked asked = read(body, options);
          asked.call.without_effect = shape.without_effect(body);
          return asked;
        },
        body_of(operation.errors));
    add(std::move(operation), std::move(handler));
  }
  void tells(Operation operation, Tell tell) {
    operation.method = "POST";
    Handler handler = service->tells(
        operation.path,
        [tell, shape = *operation.body, options = service->options()](const Json& body,
                                                                      const ServedModel& model) {
          shape.check(body, "");
          return tell(body, model, options);
        },
        body_of(operation.errors));
    add(std::move(operation), std::move(handler));
  }
  void shows(Operation operation, Show show) {
    operation.method = "GET";
    Handler handler = service->shows(
        operation.path,
        [show, &models = service->models()](const std::string& name) { return show(models, name); },
        body_of(operation.errors));
    add(std::move(operation), std::move(handler));
  }

  void add_openai(const std::string& prefix);
  void add_anthropic(const std::string& prefix);
  void add_ollama();
  void add_adapters();
  void add_document();

  std::shared_ptr<Service> service;
  std::vector<Route> routes;
  std::vector<Operation> operations;
};

void Api::Impl::add_openai(const std::string& prefix) {
  const ApiLimits& limits = service->options().limits;
  const std::vector<std::string> streams = {"application/json", "text/event-stream"};
  const std::vector<std::string> json = {"application/json"};
  const auto errors = Operation::Errors::openai;
  asks({"", prefix + "/chat/completions", "Go on with a conversation", openai_chat_shape(limits),
        streams, errors, "ChatCompletion"},
       read_openai_chat);
  asks({"", prefix + "/completions", "Go on with a text", openai_completions_shape(limits), streams,
        errors, "Completion"},
       read_openai_completion);
  asks({"", prefix + "/responses", "Answer, in OpenAI's Responses format", responses_shape(limits),
        streams, errors, "Response"},
       read_response);
  asks({"", prefix + "/embeddings", "Texts as vectors", openai_embeddings_shape(limits), json,
        errors, "Embeddings"},
       read_openai_embedding);
  shows({"", prefix + "/models", "The models there are", {}, json, errors, "ModelList"},
        [](const Models& models, const std::string&) { return openai_models(models); });
  shows({"", prefix + "/models/*", "One of them", {}, json, errors, "Model"}, openai_model);
  tells({"", prefix + "/tokenize", "Text or messages to tokens", tokenize_shape(limits), json,
         errors, "Tokens"},
        tokenize);
  tells(
      {"", prefix + "/detokenize", "Tokens to text", detokenize_shape(), json, errors, "TokenText"},
      [](const Json& body, const ServedModel& model, const ApiOptions&) {
        return detokenize(body, model);
      });
}

void Api::Impl::add_anthropic(const std::string& prefix) {
  const ApiLimits& limits = service->options().limits;
  const auto errors = Operation::Errors::anthropic;
  asks({"",
        prefix + "/messages",
        "Answer, in Anthropic's Messages format",
        anthropic_shape(limits),
        {"application/json", "text/event-stream"},
        errors,
        "Message"},
       read_anthropic);
  tells({"",
         prefix + "/messages/count_tokens",
         "How long a prompt is",
         anthropic_count_shape(limits),
         {"application/json"},
         errors,
         "TokenCount"},
        count_anthropic_tokens);
}

void Api::Impl::add_ollama() {
  const ApiLimits& limits = service->options().limits;
  const auto errors = Operation::Errors::ollama;
  const std::vector<std::string> json = {"application/json"};
  const std::vector<std::string> lines = {"application/x-ndjson", "application/json"};
  asks({"", "/api/chat", "Go on with a conversation, as Ollama does", ollama_chat_shape(limits),
        lines, errors, "OllamaChat"},
       read_ollama_chat);
  asks({"", "/api/generate", "Answer a prompt, as Ollama does", ollama_generate_shape(limits),
        lines, errors, "OllamaText"},
       read_ollama_generate);
  shows({"", "/api/tags", "The models there are", {}, json, errors, "OllamaModels"},
        [](const Models& models, const std::string&) { return ollama_tags(models); });
  shows({"", "/api/ps", "The models that are loaded", {}, json, errors, "OllamaModels"},
        [](const Models& models, const std::string&) { return ollama_running(models); });
  tells(
      {"", "/api/show", "What is known of a model",
       Shape::object({{"model", Shape::text(0, 512)}, {"verbose", Shape::boolean()}}), json, errors,
       "OllamaModel"},
      [](const Json&, const ServedModel& model, const ApiOptions&) { return ollama_show(model); });
  add({"GET", "/api/version", "The program's version", {}, json, errors, "OllamaVersion"},
      service->shows(
          "/api/version",
          [version = service->options().version](const std::string&) {
            return Json{{"version", version}};
          },
          ollama_error_body));
}

// Where llama-server has it, and nowhere else.
void Api::Impl::add_adapters() {
  shows({"",
         "/lora-adapters",
         "The adapters there are, by the numbers that the field lora takes",
         {},
         {"application/json"},
         Operation::Errors::openai,
         "LoraAdapters"},
        [](const Models& models, const std::string&) { return adapters_json(models.list()); });
}

// The last: it describes those before it, and itself.
void Api::Impl::add_document() {
  Operation self{"GET", "/openapi.json", "This document", {}};
  operations.push_back(self);
  const auto document = std::make_shared<const std::string>(
      dumped(openapi_document(operations, service->options().version)));
  routes.push_back({self.method, self.path,
                    [document](const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
                      reply->send(200, "application/json", *document);
                    }});
}

Api::Api(Models& models, ApiOptions options, Meter& meter)
    : impl_(std::make_unique<Impl>(models, std::move(options), meter)) {
  for (const char* prefix : {"/v1", "", "/beta"}) impl_->add_openai(prefix);
  for (const char* prefix : {"/v1", "/anthropic", "/anthropic/v1"}) impl_->add_anthropic(prefix);
  impl_->add_ollama();
  impl_->add_adapters();
  impl_->add_document();
}

Api::~Api() {
  impl_->service->stop();
}

const std::vector<Route>& Api::routes() const {
  return impl_->routes;
}

void Api::cancel_all() {
  impl_->service->cancel_all();
}

}  // namespace nautile::server
