// anthropic_test.cpp — Messages, whole and in events.
#include "server/anthropic.h"

#include <gtest/gtest.h>

#include "server/server_testing.h"

namespace nautile::server {
namespace {

Json hello() {
  return Json::parse(R"({"max_tokens": 500, "messages": [{"role": "user", "content": "hello"}]})");
}

Json tools() {
  return Json::parse(R"([{"name": "weather", "input_schema": {"type": "object",
    "properties": {"city": {"type": "string"}}, "required": ["city"]}}])");
}

constexpr const char* kCall =
    "Hm.</think>Let me see.<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": "
    "\"Köln\"}}\n"
    "</tool_call>";

TEST(Anthropic, AnswersInBlocks) {
  TestApi api(saying(kCall), kReasoningTemplate);
  Json body = hello();
  body["tools"] = tools();
  body["system"] = Json::parse(R"([{"type": "text", "text": "Be brief."}])");
  const auto reply = api.post("/v1/messages", body);
  ASSERT_EQ(reply->status(), 200) << reply->body();
  const Json answer = reply->json();
  EXPECT_EQ(answer["type"], "message");
  EXPECT_EQ(answer["stop_reason"], "tool_use");
  ASSERT_EQ(answer["content"].size(), 3U) << answer;
  EXPECT_EQ(answer["content"][0]["thinking"], "Hm.");
  EXPECT_EQ(answer["content"][1]["text"], "Let me see.");
  EXPECT_EQ(answer["content"][2]["input"]["city"], "Köln");
  EXPECT_GT(answer["usage"]["input_tokens"].get<int>(), 0);
}

TEST(Anthropic, StreamsEventsThatMakeTheSameAnswer) {
  TestApi api(saying(kCall), kReasoningTemplate);
  Json body = hello();
  body["tools"] = tools();
  const Json whole = api.post("/anthropic/v1/messages", body)->json();
  body["stream"] = true;
  const std::string stream = api.post("/anthropic/v1/messages", body)->body();
  EXPECT_EQ(stream.rfind("event: message_start\n", 0), 0U);
  Json blocks = Json::array();
  std::string partial;
  const auto events = stream_events(stream);
  for (const Json& event : events) {
    const std::string type = event["type"];
    if (type == "content_block_start") {
      EXPECT_EQ(event["index"], blocks.size());
      blocks.push_back(event["content_block"]);
      partial.clear();
    } else if (type == "content_block_delta") {
      const Json& delta = event["delta"];
      Json& block = blocks.back();
      if (delta["type"] == "text_delta") {
        block["text"] = block["text"].get<std::string>() + delta["text"].get<std::string>();
      } else if (delta["type"] == "thinking_delta") {
        block["thinking"] =
            block["thinking"].get<std::string>() + delta["thinking"].get<std::string>();
      } else if (delta["type"] == "input_json_delta") {
        partial += delta["partial_json"].get<std::string>();
      }
    } else if (type == "content_block_stop" && blocks.back()["type"] == "tool_use") {
      blocks.back()["input"] = Json::parse(partial);
    } else if (type == "message_delta") {
      EXPECT_EQ(event["delta"]["stop_reason"], "tool_use");
      EXPECT_GT(event["usage"]["output_tokens"].get<int>(), 0);
    }
  }
  EXPECT_EQ(events.back()["type"], "message_stop");
  Json expected = whole["content"];
  ASSERT_EQ(blocks.size(), expected.size());
  blocks[2]["id"] = expected[2]["id"] = "same";
  EXPECT_EQ(blocks, expected);
}

TEST(Anthropic, NamesWhyItStopped) {
  TestApi api(saying("one STOP two"));
  Json body = hello();
  EXPECT_EQ(api.post("/v1/messages", body)->json()["stop_reason"], "end_turn");
  body["stop_sequences"] = {"STOP"};
  const Json stopped = api.post("/v1/messages", body)->json();
  EXPECT_EQ(stopped["stop_reason"], "stop_sequence");
  EXPECT_EQ(stopped["stop_sequence"], "STOP");
  body["max_tokens"] = 1;
  EXPECT_EQ(api.post("/v1/messages", body)->json()["stop_reason"], "max_tokens");
}

TEST(Anthropic, TakesResultsAndPrefill) {
  TestApi api(saying("!"));
  const Json body = Json::parse(R"({"max_tokens": 9, "messages": [
    {"role": "user", "content": "weather?"},
    {"role": "assistant", "content": [{"type": "text", "text": "Let me see."},
      {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Köln"}}]},
    {"role": "user", "content": [
      {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "rain"}]}]},
    {"role": "assistant", "content": "It rains"}]})");
  const auto reply = api.post("/v1/messages", body);
  ASSERT_EQ(reply->status(), 200) << reply->body();
  EXPECT_EQ(reply->json()["content"][0]["text"], "!");
}

TEST(Anthropic, CountsTokensAsTheAnswerDoes) {
  TestApi api(saying("x"));
  const Json used = api.post("/v1/messages", hello())->json()["usage"];
  Json body = hello();
  body.erase("max_tokens");
  EXPECT_EQ(api.post("/v1/messages/count_tokens", body)->json()["input_tokens"],
            used["input_tokens"]);
}

TEST(Anthropic, WordsErrorsItsOwnWay) {
  TestApi api;
  Json body = hello();
  body.erase("max_tokens");
  const auto reply = api.post("/v1/messages", body);
  EXPECT_EQ(reply->status(), 400);
  EXPECT_EQ(reply->json()["type"], "error");
  EXPECT_EQ(reply->json()["error"]["type"], "invalid_request_error");
  body = hello();
  body["model"] = "claude-x";
  EXPECT_EQ(api.post("/v1/messages", body)->json()["error"]["type"], "not_found_error");
  EchoOptions options = saying("abcabc");
  options.fail_after = 1;
  TestApi failing(options);
  body = hello();
  body["stream"] = true;
  EXPECT_EQ(stream_events(failing.post("/v1/messages", body)->body()).back()["error"]["type"],
            "api_error");
}

}  // namespace
}  // namespace nautile::server
