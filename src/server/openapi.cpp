// openapi.cpp — paths, bodies and the three shapes of errors.
#include "server/openapi.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "server/answer_schemas.h"

namespace nautile::server {
namespace {

Json text_type() {
  return {{"type", "string"}};
}

Json object_of(Json properties) {
  Json required = Json::array();
  for (const auto& [name, schema] : properties.items()) required.push_back(name);
  return {{"type", "object"}, {"properties", std::move(properties)}, {"required", required}};
}

Json error_schemas() {
  const Json text_or_null = {{"type", {"string", "null"}}};
  return {
      {"OpenaiError", object_of({{"error", object_of({{"message", text_type()},
                                                      {"type", text_type()},
                                                      {"param", text_or_null},
                                                      {"code", text_or_null}})}})},
      {"AnthropicError",
       object_of({{"type", {{"const", "error"}}},
                  {"error", object_of({{"type", text_type()}, {"message", text_type()}})}})},
      {"OllamaError", object_of({{"error", text_type()}})},
  };
}

const char* error_name(Operation::Errors errors) {
  switch (errors) {
    case Operation::Errors::anthropic:
      return "AnthropicError";
    case Operation::Errors::ollama:
      return "OllamaError";
    case Operation::Errors::openai:
      break;
  }
  return "OpenaiError";
}

Json schema_reference(const std::string& name) {
  return {{"$ref", "#/components/schemas/" + name}};
}

std::string operation_id(const Operation& operation) {
  std::string id = operation.method;
  std::transform(id.begin(), id.end(), id.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const char c : operation.path) id += c == '/' || c == '*' ? '_' : c;
  return id;
}

Json operation_json(const Operation& operation) {
  Json json = {{"operationId", operation_id(operation)}, {"summary", operation.summary}};
  if (operation.path.ends_with('*')) {
    json["parameters"] = Json::array(
        {{{"name", "name"}, {"in", "path"}, {"required", true}, {"schema", text_type()}}});
  }
  if (operation.body) {
    json["requestBody"] = {
        {"required", true},
        {"content", {{"application/json", {{"schema", operation.body->schema()}}}}}};
  }
  Json& responses = json["responses"];
  Json content = Json::object();
  for (const std::string& type : operation.answers) content[type] = Json::object();
  if (!operation.answer.empty()) {
    content["application/json"]["schema"] = schema_reference(operation.answer);
  }
  responses["200"] = {{"description", "The answer."}, {"content", std::move(content)}};
  const Json error = {
      {"description", "Why there is none."},
      {"content",
       {{"application/json",
         {{"schema",
           {{"$ref", std::string("#/components/schemas/") + error_name(operation.errors)}}}}}}}};
  std::vector<const char*> statuses = {"401", "404", "429", "503"};
  if (operation.body) {
    statuses.insert(statuses.end(), {"400", "413", "415", "422"});
  }
  std::sort(statuses.begin(), statuses.end(),
            [](const char* a, const char* b) { return std::string_view(a) < b; });
  for (const char* status : statuses) responses[status] = error;
  return json;
}

}  // namespace

Json openapi_document(const std::vector<Operation>& operations, const std::string& version) {
  Json paths = Json::object();
  for (const Operation& operation : operations) {
    std::string path = operation.path;
    if (path.ends_with('*')) path.replace(path.size() - 1, 1, "{name}");
    std::string method = operation.method;
    std::transform(method.begin(), method.end(), method.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    paths[path][method] = operation_json(operation);
  }
  Json schemas = error_schemas();
  schemas.update(answer_schemas());
  return {{"openapi", "3.1.0"},
          {"info",
           {{"title", "nautile"},
            {"version", version.empty() ? "0" : version},
            {"description",
             "Fields that are not listed are let pass; the header x-nautile-ignored of an answer "
             "names those that had no effect, x-nautile-parameters says what was drawn by."}}},
          {"paths", std::move(paths)},
          {"components",
           {{"schemas", std::move(schemas)},
            {"securitySchemes", {{"key", {{"type", "http"}, {"scheme", "bearer"}}}}}}},
          {"security", Json::array({Json::object(), {{"key", Json::array()}}})}};
}

}  // namespace nautile::server
