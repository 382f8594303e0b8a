// openapi.h — the OpenAPI document of what the server offers, made of the shapes it checks by.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "server/shape.h"

namespace nautile::server {

struct Operation {
  std::string method, path;  // of the route: "/v1/models/*" has a parameter `name`
  std::string summary;
  std::optional<Shape> body;  // none: it has none
  // Media types of a good answer.
  std::vector<std::string> answers = {"application/json"};
  enum class Errors : std::uint8_t { openai, anthropic, ollama } errors = Errors::openai;
  std::string answer = {};  // what answer_schemas() calls a good one that is JSON; "": any
};

// OpenAPI 3.1.
Json openapi_document(const std::vector<Operation>& operations, const std::string& version);

}  // namespace nautile::server
