// api_error.cpp — what can go wrong, and what each is called.
#include "server/api_error.h"

#include <cctype>
#include <nlohmann/json.hpp>

#include "base/printable.h"
#include "text/unicode.h"

namespace nautile::server {
namespace {

// The path of a field that a message begins with, as check_conversation() and its like write it:
// "messages[2].content: expected …"; or "".
std::string_view leading_path(std::string_view message) {
  std::size_t at = 0;
  while (at < message.size()) {
    const auto c = static_cast<unsigned char>(message[at]);
    if (std::islower(c) == 0 && std::isdigit(c) == 0 && c != '_' && c != '.' && c != '[' &&
        c != ']') {
      break;
    }
    ++at;
  }
  if (at == 0 || at + 1 >= message.size() || message[at] != ':' || message[at + 1] != ' ')
    return {};
  return message.substr(0, at);
}

// The innermost path of an Error with contexts, of which each is a line.
std::string path_of(std::string_view what) {
  std::string found;
  while (!what.empty()) {
    const std::size_t end = std::min(what.find('\n'), what.size());
    std::string_view line = what.substr(0, end);
    what.remove_prefix(std::min(end + 1, what.size()));
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    std::string whole(line);
    if (const auto path = leading_path(whole); !path.empty()) {
      found = path;
    } else if (whole += ": x"; leading_path(whole).size() == line.size() &&
                               line.find_first_of("[.") != std::string_view::npos) {
      found = line;
    }
  }
  return found;
}

}  // namespace

ApiError field_error(std::string_view param, std::string_view code, const std::string& message) {
  ApiError error(400, "invalid_request_error", std::string(code), message);
  error.param = param;
  error.value = code == "invalid_value";
  return error;
}

ApiError model_missing(std::string_view name, const std::string& why) {
  ApiError error(404, "invalid_request_error", "model_not_found",
                 fmt::format("the model '{}' does not exist: {}", printable(name, 80), why));
  error.param = "model";
  return error;
}

ApiError context_exceeded(std::string_view param, std::int64_t prompt, std::int64_t wanted,
                          std::int64_t room) {
  ApiError error(
      400, "invalid_request_error", "context_length_exceeded",
      fmt::format("this model's maximum context length is {} tokens; the request has {} in the "
                  "prompt and asks for {} more at least",
                  room, prompt, wanted));
  error.param = param;
  return error;
}

ApiError overloaded(double retry_after) {
  ApiError error(429, "rate_limit_error", "queue_full",
                 "the server has as many requests as it will hold; try again later");
  error.retry_after = std::max(retry_after, 1.0);
  return error;
}

ApiError draining() {
  ApiError error(503, "server_error", "shutting_down",
                 "the server is shutting down and takes no more requests");
  error.retry_after = 5;
  return error;
}

ApiError internal_error(const std::string& message) {
  return ApiError(500, "server_error", "internal_error", message);
}

ApiError api_error_of(const std::exception& thrown) {
  if (const auto* api = dynamic_cast<const ApiError*>(&thrown)) return *api;
  const auto* known = dynamic_cast<const Error*>(&thrown);
  if (known == nullptr) return internal_error("the server made a mistake; its log says more");
  switch (known->kind()) {
    case ErrorKind::usage:
    case ErrorKind::bad_input:
    case ErrorKind::unsupported: {
      std::string text = known->what();
      for (std::size_t at = 0; (at = text.find("\n    ", at)) != std::string::npos;) {
        text.replace(at, 5, "; ");
      }
      ApiError error = field_error(
          path_of(known->what()),
          known->kind() == ErrorKind::unsupported ? "unsupported_value" : "invalid_value", text);
      error.value = true;
      return error;
    }
    case ErrorKind::no_memory:
      return overloaded(10);
    case ErrorKind::failure:
      break;
  }
  return internal_error(known->message());
}

std::string openai_error_body(const ApiError& error) {
  const auto or_null = [](const std::string& text) {
    return text.empty() ? nlohmann::ordered_json()
                        : nlohmann::ordered_json(replace_invalid_utf8(text));
  };
  const nlohmann::ordered_json body = {{"error",
                                        {{"message", replace_invalid_utf8(error.what())},
                                         {"type", error.type},
                                         {"param", or_null(error.param)},
                                         {"code", or_null(error.code)}}}};
  return body.dump();
}

}  // namespace nautile::server
