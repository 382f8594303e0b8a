// deepseek_test.cpp — what DeepSeek's dialect changes.
#include <gtest/gtest.h>

#include "server/openai_chat_testing.h"

namespace nautile::server {
namespace {

TEST(DeepseekDialect, Has422AndUsageInTheLastChunk) {
  ApiOptions options;
  options.dialect = Dialect::deepseek;
  TestApi api(saying("Hm.</think>Yes."), kReasoningTemplate, options);
  EXPECT_EQ(api.post("/chat/completions", with(hello(), "temperature", 3))->status(), 422);
  EXPECT_EQ(api.post("/chat/completions", std::string("{"))->status(), 400);
  const auto reply = api.post("/chat/completions", streamed(hello()));
  const auto events = stream_events(reply->body());
  const Json& last = events[events.size() - 2];
  EXPECT_EQ(last["choices"][0]["finish_reason"], "stop");
  EXPECT_TRUE(last["usage"].contains("prompt_cache_hit_tokens"));
  EXPECT_EQ(reply->kept_alive().second, ": keep-alive\n\n");
  const auto whole = api.post("/chat/completions", hello());
  EXPECT_EQ(whole->kept_alive().second, "\n");
  EXPECT_EQ(whole->json()["choices"][0]["message"]["reasoning_content"], "Hm.");
}

TEST(DeepseekDialect, AsksForTheReasoningBehindCalls) {
  ApiOptions options;
  options.dialect = Dialect::deepseek;
  TestApi api(saying("x"), kReasoningTemplate, options);
  Json body = hello();
  body["thinking"] = {{"type", "enabled"}};
  body["tools"] = tools();
  Json call = {
      {"role", "assistant"},
      {"content", ""},
      {"tool_calls", Json::array({{{"id", "c1"},
                                   {"type", "function"},
                                   {"function", {{"name", "now"}, {"arguments", "{}"}}}}})}};
  body["messages"].push_back(call);
  body["messages"].push_back({{"role", "tool"}, {"tool_call_id", "c1"}, {"content", "12"}});
  const auto refused = api.post("/chat/completions", body);
  EXPECT_EQ(refused->status(), 400);
  EXPECT_EQ(refused->json()["error"]["param"], "messages[1].reasoning_content");
  body["messages"][1]["reasoning_content"] = "I need the time.";
  EXPECT_EQ(api.post("/chat/completions", body)->status(), 200);
}

TEST(DeepseekDialect, ContinuesAPrefix) {
  TestApi api(saying("!"), kTestTemplate);
  Json body = hello();
  body["messages"].push_back({{"role", "assistant"}, {"content", "Hello"}, {"prefix", true}});
  const auto reply = api.post("/beta/chat/completions", body);
  ASSERT_EQ(reply->status(), 200) << reply->body();
  EXPECT_EQ(reply->json()["choices"][0]["message"]["content"], "!");
}

}  // namespace
}  // namespace nautile::server
