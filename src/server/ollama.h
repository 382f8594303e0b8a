// ollama.h — Ollama's API: chat, generate, and its lists of models.
#pragma once

#include <string>

#include "server/manner.h"
#include "server/models.h"
#include "server/routes.h"
#include "server/service.h"
#include "server/shape.h"

namespace nautile::server {

// The bodies of POST /api/chat and POST /api/generate.
Shape ollama_chat_shape(const ApiLimits& limits);
Shape ollama_generate_shape(const ApiLimits& limits);
// Of bodies that fit. Throw ApiError naming the field.
Asked read_ollama_chat(const Json& body, const ApiOptions& options);
Asked read_ollama_generate(const Json& body, const ApiOptions& options);

// GET /api/tags, GET /api/ps, POST /api/show.
Json ollama_tags(const Models& models);
Json ollama_running(const Models& models);
Json ollama_show(const ServedModel& model);

// {"error": "…"}.
std::string ollama_error_body(const ApiError& error);

// Lines of JSON.
class OllamaManner : public Manner {
 public:
  enum class Form : std::uint8_t { chat, generate };
  explicit OllamaManner(Form form) : form_(form) {}

  std::string whole(const Answer& answer) override;
  std::string_view stream_type() const override { return "application/x-ndjson"; }
  std::string head(const AnswerHead& head) override;
  std::string text(const Delta& delta) override;
  std::string tail(const Answer& answer) override;
  std::string failure(const ApiError& error) override;
  // Clients read every line as JSON.
  std::string keep_alive() const override { return {}; }

 private:
  Json line(const std::string& content, const std::string& thinking, Json calls) const;
  Json done(Json last, const Answer& answer) const;

  Form form_;
  AnswerHead head_;
  AnswerCall call_;  // that is being told
};

}  // namespace nautile::server
