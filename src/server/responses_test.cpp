// responses_test.cpp — the Responses format, whole and in events.
#include "server/responses.h"

#include <gtest/gtest.h>

#include "server/server_testing.h"

namespace nautile::server {
namespace {

constexpr const char* kCall = "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>";

Json tools() {
  return Json::parse(R"([{"type": "function", "name": "now", "parameters": {"type": "object",
    "properties": {}}}])");
}

TEST(Responses, AnswersWithItems) {
  TestApi api(saying("Hm.</think>Yes."), kReasoningTemplate);
  const auto reply =
      api.post("/v1/responses", Json{{"input", "hello"}, {"instructions", "Be brief."}});
  ASSERT_EQ(reply->status(), 200) << reply->body();
  const Json body = reply->json();
  EXPECT_EQ(body["object"], "response");
  EXPECT_EQ(body["status"], "completed");
  ASSERT_EQ(body["output"].size(), 2U);
  EXPECT_EQ(body["output"][0]["type"], "reasoning");
  EXPECT_EQ(body["output"][0]["content"][0]["text"], "Hm.");
  EXPECT_EQ(body["output"][1]["content"][0]["text"], "Yes.");
  EXPECT_EQ(body["output"][1]["content"][0]["type"], "output_text");
  EXPECT_GT(body["usage"]["output_tokens_details"]["reasoning_tokens"].get<int>(), 0);
  EXPECT_EQ(body["instructions"], "Be brief.");
  EXPECT_TRUE(body["previous_response_id"].is_null());
}

TEST(Responses, StreamsEventsThatMakeTheSameAnswer) {
  TestApi api(saying(std::string("Hm.</think>Wait. ") + kCall), kReasoningTemplate);
  Json body = {{"input", {{{"role", "user"}, {"content", "what time?"}}}}, {"tools", tools()}};
  const Json whole = api.post("/v1/responses", body)->json();
  body["stream"] = true;
  const auto events = stream_events(api.post("/v1/responses", body)->body());
  std::string text, reasoning, arguments;
  Json items = Json::array();
  for (std::size_t i = 0; i < events.size(); ++i) {
    const Json& event = events[i];
    EXPECT_EQ(event["sequence_number"], i);
    const std::string type = event["type"];
    if (type == "response.output_text.delta") text += event["delta"].get<std::string>();
    if (type == "response.reasoning_text.delta") reasoning += event["delta"].get<std::string>();
    if (type == "response.function_call_arguments.delta") {
      arguments += event["delta"].get<std::string>();
    }
    if (type == "response.output_item.done") {
      EXPECT_EQ(event["output_index"], items.size());
      items.push_back(event["item"]);
    }
  }
  EXPECT_EQ(events[0]["type"], "response.created");
  EXPECT_EQ(events[1]["type"], "response.in_progress");
  EXPECT_EQ(events.back()["type"], "response.completed");
  EXPECT_EQ(events.back()["response"]["output"], items);
  ASSERT_EQ(items.size(), 3U) << items;
  ASSERT_EQ(whole["output"].size(), 3U);
  EXPECT_EQ(whole["output"][0]["content"][0]["text"], reasoning);
  EXPECT_EQ(whole["output"][1]["content"][0]["text"], text);
  EXPECT_EQ(whole["output"][2]["arguments"], arguments);
  EXPECT_EQ(whole["output"][2]["type"], "function_call");
  EXPECT_EQ(whole["output"][2]["name"], "now");
}

TEST(Responses, GoesOnAfterACall) {
  TestApi api(saying("It is noon."));
  const Json body = Json::parse(R"({"input": [
    {"role": "user", "content": [{"type": "input_text", "text": "what time?"}]},
    {"type": "reasoning", "id": "rs_1", "summary": []},
    {"type": "function_call", "call_id": "c1", "name": "now", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "c1", "output": "12:00"}]})");
  const auto reply = api.post("/v1/responses", body);
  ASSERT_EQ(reply->status(), 200) << reply->body();
  EXPECT_EQ(reply->json()["output"][0]["content"][0]["text"], "It is noon.");
}

TEST(Responses, TellsWhatWasCut) {
  TestApi api(saying("abcabcabc"));
  const Json body =
      api.post("/v1/responses", Json{{"input", "x"}, {"max_output_tokens", 1}})->json();
  EXPECT_EQ(body["status"], "incomplete");
  EXPECT_EQ(body["incomplete_details"]["reason"], "max_output_tokens");
}

TEST(Responses, KeepsAFormat) {
  TestApi api(saying("x"));
  const Json body = Json::parse(R"({"input": "x", "text": {"format": {"type": "json_schema",
    "name": "n", "schema": {"type": "object", "properties": {"a": {"type": "null"}},
    "required": ["a"]}}}})");
  const Json answer = api.post("/v1/responses", body)->json();
  EXPECT_TRUE(
      Json::parse(answer["output"][0]["content"][0]["text"].get<std::string>()).contains("a"));
}

TEST(Responses, RefusesWhatNeedsState) {
  TestApi api;
  const auto param = [&](const Json& body) {
    const auto reply = api.post("/v1/responses", body);
    EXPECT_EQ(reply->status(), 400) << reply->body();
    return reply->json()["error"]["param"];
  };
  EXPECT_EQ(param({{"input", "x"}, {"previous_response_id", "resp_1"}}), "previous_response_id");
  EXPECT_EQ(param(Json::object()), "input");
  EXPECT_EQ(param(Json::parse(R"({"input": [{"type": "item_reference", "id": "x"}]})")),
            "input[0]");
  EXPECT_EQ(
      param(Json::parse(R"({"input": [{"role": "user", "content": [{"type": "input_image"}]}]})")),
      "input[0].content[0]");
  EXPECT_EQ(param(Json::parse(R"({"input": [{"type": "function_call_output", "output": "x"}]})")),
            "input[0].call_id");
}

TEST(Responses, EndsAStreamThatFails) {
  EchoOptions options = saying("abcabc");
  options.fail_after = 1;
  TestApi api(options);
  const auto events =
      stream_events(api.post("/v1/responses", Json{{"input", "x"}, {"stream", true}})->body());
  EXPECT_EQ(events.back()["type"], "response.failed");
  EXPECT_EQ(events[events.size() - 2]["type"], "error");
}

}  // namespace
}  // namespace nautile::server
