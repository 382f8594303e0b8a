// openai_chat_refusal_test.cpp — bodies that cannot be, and the field that is named.
#include <gtest/gtest.h>

#include "server/openai_chat_testing.h"

namespace nautile::server {
namespace {

struct Refused {
  const char* body;
  const char* param;
};

class OpenaiChatRefuses : public ::testing::TestWithParam<Refused> {};

TEST_P(OpenaiChatRefuses, AndNamesTheField) {
  static TestApi* api = new TestApi(saying("x"));
  const auto reply = api->post("/v1/chat/completions", std::string(GetParam().body));
  EXPECT_EQ(reply->status(), 400) << reply->body();
  const Json error = reply->json()["error"];
  EXPECT_EQ(error["type"], "invalid_request_error");
  if (*GetParam().param == '\0') {
    EXPECT_TRUE(error["param"].is_null()) << error;
  } else {
    EXPECT_EQ(error["param"], GetParam().param) << error;
  }
}

#define M "\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]"
INSTANTIATE_TEST_SUITE_P(
    Bodies, OpenaiChatRefuses,
    ::testing::Values(
        Refused{"", ""}, Refused{"{", ""}, Refused{"[]", ""}, Refused{"{\"messages\": NaN}", ""},
        Refused{"{}", "messages"}, Refused{R"({"messages": "x"})", "messages"},
        Refused{R"({"messages": []})", "messages"}, Refused{R"({"messages": [1]})", "messages[0]"},
        Refused{R"({"messages": [{"content": "x"}]})", "messages[0].role"},
        Refused{R"({"messages": [{"role": "judge", "content": "x"}]})", "messages[0].role"},
        Refused{R"({"messages": [{"role": "user"}]})", "messages[0].content"},
        Refused{R"({"messages": [{"role": "user", "content": 3}]})", "messages[0].content"},
        Refused{R"({"messages": [{"role": "user", "content": [{"type": "text"}]}]})",
                "messages[0].content[0].text"},
        Refused{R"({"messages": [{"role": "user", "content": [{"type": "image_url",
                  "image_url": {"url": "x"}}]}]})",
                "messages[0].content[0]"},
        Refused{R"({"messages": [{"role": "tool", "content": "x"}]})", "messages[0].tool_call_id"},
        Refused{R"({"messages": [{"role": "assistant", "prefix": true, "content": "a"},
                  {"role": "user", "content": "x"}]})",
                "messages[0].prefix"},
        Refused{"{" M R"(, "n": 9})", "n"}, Refused{"{" M R"(, "n": 0})", "n"},
        Refused{"{" M R"(, "n": 1.5})", "n"}, Refused{"{" M R"(, "n": "1"})", "n"},
        Refused{"{" M R"(, "temperature": 3})", "temperature"},
        Refused{"{" M R"(, "max_tokens": 9223372036854775808})", "max_tokens"},
        Refused{"{" M R"(, "max_tokens": 0})", "max_tokens"},
        Refused{"{" M R"(, "max_tokens": 2, "min_tokens": 3})", "min_tokens"},
        Refused{"{" M R"(, "top_logprobs": 2})", "top_logprobs"},
        Refused{"{" M R"(, "logprobs": true, "top_logprobs": 21})", "top_logprobs"},
        Refused{"{" M R"(, "logit_bias": {"5": 101}})", "logit_bias.5"},
        Refused{"{" M R"(, "logit_bias": {"x": 1}})", "logit_bias"},
        Refused{"{" M R"(, "logit_bias": {"999999": 1}})", "logit_bias"},
        Refused{"{" M R"(, "stop": [""]})", "stop[0]"},
        Refused{"{" M R"(, "stop": ["a","b","c","d","e","f","g","h","i","j","k","l","m","n","o","p",
                  "q"]})",
                "stop"},
        Refused{"{" M R"(, "stream": "yes"})", "stream"},
        Refused{"{" M R"(, "stream_options": {"include_usage": true}})", "stream_options"},
        Refused{"{" M R"(, "tool_choice": "required"})", "tool_choice"},
        Refused{"{" M R"(, "tools": [{"type": "function", "function": {"name": "a b"}}]})",
                "tools[0].function.name"},
        Refused{"{" M R"(, "tools": [{"type": "function", "function": {"name": "a"}}],
                  "tool_choice": {"type": "function", "function": {"name": "b"}}})",
                "tool_choice"},
        Refused{"{" M R"(, "response_format": {"type": "xml"}})", "response_format.type"},
        Refused{"{" M R"(, "response_format": {"type": "json_schema"}})",
                "response_format.json_schema"},
        Refused{"{" M R"(, "response_format": {"type": "json_schema", "json_schema": {"schema":
                  {"type": "object", "if": {}}}}})",
                "response_format.json_schema.schema"},
        Refused{"{" M R"(, "guided_regex": "(", "stream": true})", "guided_regex"},
        Refused{"{" M R"(, "guided_regex": "a", "grammar": "root ::= \"a\""})", "grammar"},
        Refused{"{" M R"(, "chat_template_kwargs": {"messages": []}})",
                "chat_template_kwargs.messages"},
        Refused{"{" M R"(, "reasoning_effort": "huge"})", "reasoning_effort"}));
#undef M

TEST(OpenaiChat, RefusesDeepBodies) {
  TestApi api;
  std::string deep = R"({"messages": )";
  deep += std::string(100'000, '[') + std::string(100'000, ']') + "}";
  EXPECT_EQ(api.post("/v1/chat/completions", deep)->status(), 400);
}

}  // namespace
}  // namespace nautile::server
