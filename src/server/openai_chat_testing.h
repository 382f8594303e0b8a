// openai_chat_testing.h — bodies and streams of chat completions, for tests.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "server/server_testing.h"
#include "server/shape.h"

namespace nautile::server {

inline Json hello() {
  return Json::parse(R"({"messages": [{"role": "user", "content": "hello"}]})");
}

inline Json with(Json body, const std::string& name, Json value) {
  body[name] = std::move(value);
  return body;
}

inline Json streamed(Json body) {
  return with(std::move(body), "stream", true);
}

// What a stream's deltas come to, held to the rules of the format.
struct Streamed {
  std::string content, reasoning;
  std::vector<std::string> names, ids, arguments;
  std::string finish;
  bool done = false, usage = false;
};

inline Streamed read_stream(const std::string& body, int choice = 0) {
  Streamed result;
  std::string id;
  bool first = true;
  for (const Json& event : stream_events(body)) {
    if (event == "[DONE]") {
      result.done = true;
      continue;
    }
    EXPECT_FALSE(result.done);
    for (const char* name : {"id", "object", "created", "model", "choices"}) {
      EXPECT_TRUE(event.contains(name)) << name;
    }
    if (id.empty()) id = event["id"];
    EXPECT_EQ(event["id"], id);
    EXPECT_EQ(event["object"], "chat.completion.chunk");
    if (event.contains("usage") && !event["usage"].is_null()) {
      EXPECT_TRUE(event["choices"].empty());
      result.usage = true;
      continue;
    }
    EXPECT_EQ(event["choices"].size(), 1U);
    const Json& part = event["choices"][0];
    if (part["index"] != choice) continue;
    EXPECT_TRUE(part.contains("finish_reason") && part.contains("logprobs"));
    EXPECT_TRUE(result.finish.empty()) << "something after the finish";
    const Json& delta = part["delta"];
    if (first) {
      EXPECT_EQ(delta["role"], "assistant");
    }
    first = false;
    result.content += delta.value("content", "");
    result.reasoning += delta.value("reasoning_content", "");
    if (delta.contains("tool_calls")) {
      for (const Json& call : delta["tool_calls"]) {
        const auto index = call["index"].get<std::size_t>();
        if (index == result.names.size()) {
          result.names.push_back(call["function"]["name"]);
          result.ids.push_back(call["id"]);
          result.arguments.emplace_back();
        } else {
          EXPECT_EQ(index + 1, result.names.size());
          EXPECT_FALSE(call.contains("id") || call["function"].contains("name"));
        }
        result.arguments.back() += call["function"].value("arguments", "");
      }
    }
    if (!part["finish_reason"].is_null()) result.finish = part["finish_reason"];
  }
  return result;
}

inline Json tools() {
  return Json::parse(R"([
    {"type": "function", "function": {"name": "weather", "parameters": {
      "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}},
    {"type": "function", "function": {"name": "now"}}])");
}

}  // namespace nautile::server
