// ollama_test.cpp — Ollama's API, in lines and whole.
#include "server/ollama.h"

#include <gtest/gtest.h>

#include <sstream>

#include "server/server_testing.h"

namespace nautile::server {
namespace {

std::vector<Json> lines_of(const std::string& body) {
  std::vector<Json> lines;
  std::istringstream stream(body);
  for (std::string line; std::getline(stream, line);) lines.push_back(Json::parse(line));
  return lines;
}

TEST(Ollama, ChatsInLines) {
  TestApi api(saying("Hm.</think>Yes, 你好."), kReasoningTemplate);
  Json body = Json::parse(R"({"model": "echo:latest", "messages": [
    {"role": "user", "content": "hello"}]})");
  const auto reply = api.post("/api/chat", body);
  EXPECT_EQ(reply->content_type(), "application/x-ndjson");
  const auto lines = lines_of(reply->body());
  std::string content, thinking;
  for (const Json& line : lines) {
    content += line["message"]["content"].get<std::string>();
    thinking += line["message"].value("thinking", "");
    EXPECT_EQ(line["done"], &line == &lines.back());
  }
  EXPECT_EQ(content, "Yes, 你好.");
  EXPECT_EQ(thinking, "Hm.");
  EXPECT_EQ(lines.back()["done_reason"], "stop");
  EXPECT_GT(lines.back()["eval_count"].get<int>(), 0);
  body["stream"] = false;
  const Json whole = api.post("/api/chat", body)->json();
  EXPECT_EQ(whole["message"]["content"], content);
  EXPECT_EQ(whole["done"], true);
}

TEST(Ollama, CallsTools) {
  TestApi api(
      saying("<tool_call>\n{\"name\": \"now\", \"arguments\": {\"zone\": \"CET\"}}\n</tool_call>"));
  const Json body = Json::parse(R"({"messages": [{"role": "user", "content": "time?"}],
    "tools": [{"type": "function", "function": {"name": "now", "parameters": {"type": "object",
      "properties": {"zone": {"type": "string"}}}}}]})");
  for (const Json& line : lines_of(api.post("/api/chat", body)->body())) {
    if (line["done"] == true) continue;
    EXPECT_EQ(line["message"]["tool_calls"][0]["function"]["arguments"]["zone"], "CET");
  }
  Json next = body;
  next["messages"].push_back(Json::parse(R"({"role": "assistant", "content": "", "tool_calls": [
    {"function": {"name": "now", "arguments": {"zone": "CET"}}}]})"));
  next["messages"].push_back({{"role", "tool"}, {"tool_name", "now"}, {"content", "12"}});
  EXPECT_EQ(api.post("/api/chat", next)->status(), 200);
}

TEST(Ollama, GeneratesByTemplateAndRaw) {
  TestApi api;
  Json body = {{"prompt", "abc"}, {"raw", true}, {"stream", false}};
  EXPECT_EQ(api.post("/api/generate", body)->json()["response"], "abc");
  body["raw"] = false;
  EXPECT_NE(api.post("/api/generate", body)->json()["response"], "abc");
  body["options"] = {{"num_predict", 1}, {"seed", 3}, {"repeat_penalty", 1.1}, {"num_ctx", 4096}};
  const auto reply = api.post("/api/generate", body);
  EXPECT_EQ(reply->json()["done_reason"], "length");
  const Json parameters = Json::parse(reply->header("x-nautile-parameters"));
  EXPECT_EQ(parameters["seed"], 3);
  EXPECT_NEAR(parameters["repetition_penalty"].get<double>(), 1.1, 1e-6);
}

TEST(Ollama, KeepsAFormat) {
  TestApi api(saying("x"));
  Json body = {{"prompt", "abc"}, {"stream", false}, {"format", "json"}};
  EXPECT_TRUE(Json::parse(api.post("/api/generate", body)->json()["response"].get<std::string>())
                  .is_object());
}

TEST(Ollama, LoadsAModelWithoutAPrompt) {
  TestApi api;
  EXPECT_EQ(
      api.post("/api/generate", Json{{"model", "echo"}, {"stream", false}})->json()["done_reason"],
      "load");
  EXPECT_EQ(lines_of(api.post("/api/chat", Json{{"model", "echo"}})->body()).size(), 1U);
}

TEST(Ollama, ListsModels) {
  ApiOptions options;
  options.version = "1.2.3";
  TestApi api({}, kTestTemplate, options);
  EXPECT_EQ(api.get("/api/tags")->json()["models"][0]["name"], "echo");
  EXPECT_EQ(api.get("/api/ps")->json()["models"][0]["model"], "echo");
  EXPECT_EQ(api.get("/api/version")->json()["version"], "1.2.3");
  EXPECT_EQ(api.post("/api/show", Json{{"model", "echo"}})
                ->json()["model_info"]["nautile.context_length"],
            4096);
}

TEST(Ollama, WordsErrorsItsOwnWay) {
  TestApi api;
  const auto reply = api.post("/api/chat", Json{{"model", "none"}, {"messages", Json::array()}});
  EXPECT_EQ(reply->status(), 404);
  EXPECT_TRUE(reply->json()["error"].is_string());
}

}  // namespace
}  // namespace nautile::server
