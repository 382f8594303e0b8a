// api_error.h — ApiError: why a request gets no answer, in the words of the APIs.
#pragma once

#include <fmt/format.h>

#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"

namespace nautile::server {

// What a client is told. `type` and `code` are OpenAI's words; other dialects have their own for
// the status.
struct ApiError : std::runtime_error {
  ApiError(int http_status, std::string error_type, std::string error_code,
           const std::string& message)
      : std::runtime_error(message),
        status(http_status),
        type(std::move(error_type)),
        code(std::move(error_code)) {}

  int status;
  std::string type;        // "invalid_request_error"
  std::string code;        // "model_not_found", or ""
  std::string param;       // path of the field: "messages[2].content", or ""
  double retry_after = 0;  // seconds; 0: nothing is said
  // Whether a parameter of good shape has a value that cannot be: DeepSeek's 422.
  bool value = false;
};

// A field is at fault: 400. `code` is "invalid_type", "invalid_value",
// "missing_required_parameter"…
ApiError field_error(std::string_view param, std::string_view code, const std::string& message);
template <class... Args>
[[noreturn]] void bad_value(std::string_view param, fmt::format_string<Args...> format,
                            Args&&... args) {
  throw field_error(param, "invalid_value", fmt::format(format, std::forward<Args>(args)...));
}

ApiError model_missing(std::string_view name, const std::string& why);
ApiError context_exceeded(std::string_view param, std::int64_t prompt, std::int64_t wanted,
                          std::int64_t room);
ApiError overloaded(double retry_after);
ApiError draining();
ApiError internal_error(const std::string& message);

// What was thrown, as a client may see it: an ApiError as it is; an Error about input as a 400 with
// the field that its message names; anything else as a 500.
ApiError api_error_of(const std::exception& thrown);

// OpenAI's body: {"error":{"message","type","param","code"}}.
std::string openai_error_body(const ApiError& error);

}  // namespace nautile::server
