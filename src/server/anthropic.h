// anthropic.h — Anthropic's Messages: what may be asked, and how it is answered.
#pragma once

#include <string>
#include <vector>

#include "server/manner.h"
#include "server/models.h"
#include "server/routes.h"
#include "server/service.h"
#include "server/shape.h"

namespace nautile::server {

// The bodies of POST /v1/messages and POST /v1/messages/count_tokens.
Shape anthropic_shape(const ApiLimits& limits);
Shape anthropic_count_shape(const ApiLimits& limits);
// Of bodies that fit. Throw ApiError naming the field.
Asked read_anthropic(const Json& body, const ApiOptions& options);
Json count_anthropic_tokens(const Json& body, const ServedModel& model, const ApiOptions& options);

// {"type":"error","error":{"type","message"}}.
std::string anthropic_error_body(const ApiError& error);

class AnthropicManner : public Manner {
 public:
  std::string whole(const Answer& answer) override;
  std::string head(const AnswerHead& head) override;
  std::string text(const Delta& delta) override;
  std::string tail(const Answer& answer) override;
  std::string failure(const ApiError& error) override;
  std::string keep_alive() const override;

 private:
  enum class Open : std::uint8_t { nothing, thinking, text, call };
  std::string open(Open kind, Json block);
  std::string close();
  std::string delta_event(Json delta);
  Json message() const;

  AnswerHead head_;
  Open open_ = Open::nothing;
  int index_ = 0;  // of the open block, or of the next
};

}  // namespace nautile::server
