// responses.h — OpenAI's Responses, without state: what may be asked, and how it is answered.
#pragma once

#include <string>

#include "server/manner.h"
#include "server/routes.h"
#include "server/service.h"
#include "server/shape.h"

namespace nautile::server {

// The body of POST /v1/responses.
Shape responses_shape(const ApiLimits& limits);
// Of a body that fits. Throws ApiError naming the field; what needs a stored conversation is one.
Asked read_response(const Json& body, const ApiOptions& options);

class ResponsesManner : public Manner {
 public:
  // `settings`: members of the request that an answer says again.
  explicit ResponsesManner(Json settings) : settings_(std::move(settings)) {}

  std::string whole(const Answer& answer) override;
  std::string head(const AnswerHead& head) override;
  std::string text(const Delta& delta) override;
  std::string tail(const Answer& answer) override;
  std::string failure(const ApiError& error) override;

 private:
  enum class Open : std::uint8_t { nothing, reasoning, message, call };

  Json response(const char* status) const;
  Json finished(const Answer& answer) const;
  std::string event(const char* type, const Json& data);
  std::string open(Open kind, const Delta& delta);
  std::string close(const char* status);
  std::string said(const char* type, const std::string& text, Json logprobs = nullptr);
  Json part() const;

  Json settings_;
  AnswerHead head_;
  Json output_ = Json::array();  // items that are closed
  Open open_ = Open::nothing;
  Json item_;         // that is open
  std::string text_;  // of its part, or its arguments
  Json logprobs_ = Json::array();
  int sequence_ = 0;
};

}  // namespace nautile::server
