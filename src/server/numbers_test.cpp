// numbers_test.cpp — every number of every endpoint, beyond its range and of other types.
#include <gtest/gtest.h>

#include <cmath>

#include "server/anthropic.h"
#include "server/ollama.h"
#include "server/openai_chat.h"
#include "server/openai_completions.h"
#include "server/responses.h"
#include "server/server_testing.h"

namespace nautile::server {
namespace {

struct Numbers {
  const char* path;
  Shape (*shape)(const ApiLimits&);
  const char* body;  // that is answered
};

class NumbersOf : public ::testing::TestWithParam<Numbers> {};

// {"a": {"b": value}} of "a.b".
std::string nested(std::string path, std::string value) {
  while (true) {
    const std::size_t dot = path.rfind('.');
    value =
        fmt::format("{{\"{}\": {}}}", path.substr(dot == std::string::npos ? 0 : dot + 1), value);
    if (dot == std::string::npos) return value;
    path.resize(dot);
  }
}

TEST_P(NumbersOf, AreHeldToTheirRanges) {
  TestApi api(saying("x"));
  const Json base = Json::parse(GetParam().body);
  ASSERT_EQ(api.post(GetParam().path, base)->status(), 200)
      << api.post(GetParam().path, base)->body();
  for (const Shape::Range& range : GetParam().shape(ApiLimits()).ranges()) {
    std::vector<std::string> values = {"\"5\"",
                                       "9223372036854775808",
                                       "1e308",
                                       "-1e308",
                                       "true",
                                       "[]",
                                       "{}",
                                       "18446744073709551616",
                                       "-9223372036854775809"};
    if (range.whole) values.push_back("1.5");
    if (std::abs(range.least) < 9e15) values.push_back(fmt::format("{}", range.least - 1));
    if (std::abs(range.most) < 9e15) values.push_back(fmt::format("{}", range.most + 1));
    for (const std::string& value : values) {
      Json body = base;
      body.merge_patch(Json::parse(nested(range.path, value)));
      const auto reply = api.post(GetParam().path, body);
      EXPECT_EQ(reply->status(), 400) << range.path << ": " << value << " " << reply->body();
      EXPECT_NE(reply->body().find(range.path), std::string::npos)
          << range.path << ": " << value << " " << reply->body();
    }
  }
  // What is no JSON at all.
  for (const char* value : {"NaN", "Infinity", "1e999", "0x10", "+1", "01"}) {
    std::string text = base.dump();
    text.insert(text.size() - 1, fmt::format(", \"seed\": {}", value));
    EXPECT_EQ(api.post(GetParam().path, text)->status(), 400) << value;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Endpoints, NumbersOf,
    ::testing::Values(
        Numbers{
            "/v1/chat/completions", openai_chat_shape,
            R"({"messages": [{"role": "user", "content": "x"}], "logprobs": true, "stream": true,
                    "thinking": {"type": "enabled"}})"},
        Numbers{"/v1/completions", openai_completions_shape, R"({"prompt": "x"})"},
        Numbers{"/v1/embeddings", openai_embeddings_shape, R"({"input": "x"})"},
        Numbers{"/v1/responses", responses_shape, R"({"input": "x"})"},
        Numbers{"/v1/messages", anthropic_shape,
                R"({"max_tokens": 5, "messages": [{"role": "user", "content": "x"}],
                    "thinking": {"type": "enabled"}})"},
        Numbers{"/api/chat", ollama_chat_shape,
                R"({"messages": [{"role": "user", "content": "x"}], "stream": false})"},
        Numbers{"/api/generate", ollama_generate_shape, R"({"prompt": "x", "stream": false})"}),
    [](const auto& info) {
      std::string name = info.param.path;
      for (char& c : name) c = c == '/' ? '_' : c;
      return name;
    });

}  // namespace
}  // namespace nautile::server
