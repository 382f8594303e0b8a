// openai_chat_test.cpp — chat completions as OpenAI's clients expect them.
#include "server/openai_chat.h"

#include <gtest/gtest.h>

#include "server/openai_chat_testing.h"

namespace nautile::server {
namespace {

TEST(OpenaiChat, AnswersWithEveryFieldThatClientsRead) {
  TestApi api(saying("Hi there."));
  const auto reply = api.post("/v1/chat/completions", hello());
  ASSERT_EQ(reply->status(), 200) << reply->body();
  const Json body = reply->json();
  EXPECT_EQ(body["object"], "chat.completion");
  EXPECT_EQ(body["model"], "echo");
  EXPECT_EQ(body["system_fingerprint"], "fp_echo");
  const Json& choice = body["choices"][0];
  EXPECT_EQ(choice["message"]["content"], "Hi there.");
  EXPECT_EQ(choice["message"]["role"], "assistant");
  EXPECT_TRUE(choice["message"].contains("refusal"));
  EXPECT_TRUE(choice.contains("logprobs"));
  EXPECT_EQ(choice["finish_reason"], "stop");
  const Json& usage = body["usage"];
  EXPECT_EQ(usage["total_tokens"].get<int>(),
            usage["prompt_tokens"].get<int>() + usage["completion_tokens"].get<int>());
  EXPECT_EQ(
      usage["prompt_cache_hit_tokens"].get<int>() + usage["prompt_cache_miss_tokens"].get<int>(),
      usage["prompt_tokens"].get<int>());
  const Json parameters = Json::parse(reply->header("x-nautile-parameters"));
  EXPECT_TRUE(parameters.contains("seed") && parameters.contains("temperature"));
}

TEST(OpenaiChat, StreamsTheSameText) {
  TestApi api(saying("Hi 你好 there 😀."));
  for (int most = 1; most <= 40; ++most) {
    const Json body = with(with(hello(), "max_tokens", most), "seed", 7);
    const Json whole = api.post("/v1/chat/completions", body)->json();
    const auto reply = api.post("/v1/chat/completions", streamed(body));
    EXPECT_EQ(reply->content_type(), "text/event-stream");
    const Streamed stream = read_stream(reply->body());
    EXPECT_TRUE(stream.done);
    EXPECT_EQ(whole["choices"][0]["message"]["content"], stream.content);
    EXPECT_EQ(whole["choices"][0]["finish_reason"], stream.finish);
    EXPECT_FALSE(stream.usage) << "a usage chunk that nobody asked for";
  }
}

TEST(OpenaiChat, SendsUsageWhereItIsAskedFor) {
  TestApi api(saying("x"));
  const auto reply = api.post("/v1/chat/completions",
                              with(streamed(hello()), "stream_options", {{"include_usage", true}}));
  const auto events = stream_events(reply->body());
  ASSERT_GE(events.size(), 3U);
  EXPECT_EQ(events.back(), "[DONE]");
  const Json& usage = events[events.size() - 2];
  EXPECT_TRUE(usage["choices"].empty());
  EXPECT_GT(usage["usage"]["total_tokens"].get<int>(), 0);
  EXPECT_TRUE(events[0].contains("usage") && events[0]["usage"].is_null());
}

TEST(OpenaiChat, LeaksNoStopString) {
  const std::string text = "one two, three. STOP four";
  TestApi api(saying(text));
  for (const char* stop : {"STOP", ", th", "four", "e.", "two, three. STOP f"}) {
    const Json body = with(hello(), "stop", {"never", stop});
    const Json whole = api.post("/v1/chat/completions", body)->json();
    EXPECT_EQ(whole["choices"][0]["message"]["content"], text.substr(0, text.find(stop)));
    EXPECT_EQ(whole["choices"][0]["finish_reason"], "stop");
    EXPECT_EQ(read_stream(api.post("/v1/chat/completions", streamed(body))->body()).content,
              text.substr(0, text.find(stop)));
  }
}

TEST(OpenaiChat, SeparatesReasoning) {
  TestApi api(saying("I wonder.\n</think>\n\nYes."), kReasoningTemplate);
  const Json body = api.post("/v1/chat/completions", hello())->json();
  const Json& message = body["choices"][0]["message"];
  EXPECT_EQ(message["reasoning_content"], "I wonder.\n");
  EXPECT_EQ(message["content"], "Yes.");
  EXPECT_GT(body["usage"]["completion_tokens_details"]["reasoning_tokens"].get<int>(), 9);
  const Streamed stream = read_stream(api.post("/v1/chat/completions", streamed(hello()))->body());
  EXPECT_EQ(stream.reasoning, "I wonder.\n");
  EXPECT_EQ(stream.content, "Yes.");
}

TEST(OpenaiChat, EndsReasoningByItsBudget) {
  TestApi api(saying(std::string(500, 'a') + "</think>Yes."), kReasoningTemplate);
  for (const Json& wish : {Json{{"thinking_budget", 5}},
                           Json{{"thinking", {{"type", "enabled"}, {"budget_tokens", 5}}}},
                           Json{{"reasoning", {{"max_tokens", 5}}}}}) {
    Json body = hello();
    body.update(wish);
    const Json message = api.post("/v1/chat/completions", body)->json()["choices"][0]["message"];
    EXPECT_EQ(message["reasoning_content"], "aaaaa") << wish;
    EXPECT_EQ(message["content"], "Yes.");
  }
  const Json low = api.post("/v1/chat/completions", with(hello(), "reasoning_effort", "minimal"))
                       ->json()["choices"][0]["message"];
  EXPECT_EQ(low["reasoning_content"].get<std::string>().size(), 128U);
}

TEST(OpenaiChat, TurnsThinkingOff) {
  const Tokenizer* tokenizer = nullptr;
  EchoOptions echo;
  echo.answer = [&](const engine::Request& request, int) {
    const std::string prompt = tokenizer->decode(request.prompt, SkipSpecial::no);
    return prompt.ends_with("<|assistant|></think>") ? "does not think" : "</think>thinks";
  };
  TestApi api(echo, kReasoningTemplate);
  tokenizer = &api.model.tokenizer;
  const auto answer_to = [&](const Json& wish) {
    Json body = hello();
    body.update(wish);
    return api.post("/v1/chat/completions", body)->json()["choices"][0]["message"]["content"];
  };
  EXPECT_EQ(answer_to(Json::object()), "thinks");
  EXPECT_EQ(answer_to({{"reasoning_effort", "high"}}), "thinks");
  for (const Json& wish : {Json{{"thinking", {{"type", "disabled"}}}},
                           Json{{"enable_thinking", false}}, Json{{"reasoning_effort", "none"}},
                           Json{{"chat_template_kwargs", {{"enable_thinking", false}}}}}) {
    EXPECT_EQ(answer_to(wish), "does not think") << wish;
  }
}

TEST(OpenaiChat, GivesLogprobsWithBytes) {
  TestApi api(saying("ab 你"));
  const Json body = with(with(hello(), "logprobs", true), "top_logprobs", 3);
  const Json whole = api.post("/v1/chat/completions", body)->json();
  std::string bytes;
  for (const Json& token : whole["choices"][0]["logprobs"]["content"]) {
    EXPECT_TRUE(token.contains("token") && token["logprob"].is_number());
    EXPECT_EQ(token["top_logprobs"].size(), 3U);
    for (const Json& byte : token["bytes"]) bytes += static_cast<char>(byte.get<int>());
  }
  EXPECT_EQ(bytes, "ab 你");
  std::size_t streamed_tokens = 0;
  for (const Json& event :
       stream_events(api.post("/v1/chat/completions", streamed(body))->body())) {
    if (!event.is_object() || event["choices"][0]["logprobs"].is_null()) continue;
    streamed_tokens += event["choices"][0]["logprobs"]["content"].size();
  }
  EXPECT_EQ(streamed_tokens, whole["choices"][0]["logprobs"]["content"].size());
}

TEST(OpenaiChat, AnswersInSeveralChoices) {
  EchoOptions options;
  options.answer = [](const engine::Request&, int choice) { return fmt::format("c{}", choice); };
  TestApi api(options);
  const Json body = with(hello(), "n", 3);
  const Json whole = api.post("/v1/chat/completions", body)->json();
  ASSERT_EQ(whole["choices"].size(), 3U);
  const std::string stream = api.post("/v1/chat/completions", streamed(body))->body();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(whole["choices"][static_cast<std::size_t>(i)]["message"]["content"],
              fmt::format("c{}", i));
    EXPECT_EQ(read_stream(stream, i).content, fmt::format("c{}", i));
  }
  EXPECT_EQ(whole["usage"]["completion_tokens"], 9);
}

// ---- tools

constexpr const char* kTwoCalls =
    "Let me see.<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": "
    "\"Köln\"}}\n</tool_call>"
    "\n<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>";

TEST(OpenaiChat, TellsToolCalls) {
  TestApi api(saying(kTwoCalls));
  const Json body = with(hello(), "tools", tools());
  const auto reply = api.post("/v1/chat/completions", body);
  ASSERT_EQ(reply->status(), 200) << reply->body();
  const Json choice = reply->json()["choices"][0];
  EXPECT_EQ(choice["finish_reason"], "tool_calls");
  ASSERT_EQ(choice["message"]["tool_calls"].size(), 2U) << choice;
  const Json& first = choice["message"]["tool_calls"][0];
  EXPECT_EQ(first["function"]["name"], "weather");
  EXPECT_EQ(Json::parse(first["function"]["arguments"].get<std::string>())["city"], "Köln");
  EXPECT_TRUE(first["id"].get<std::string>().starts_with("call_"));
  const Streamed stream = read_stream(api.post("/v1/chat/completions", streamed(body))->body());
  EXPECT_EQ(stream.names, (std::vector<std::string>{"weather", "now"}));
  EXPECT_NE(stream.ids[0], stream.ids[1]);
  EXPECT_EQ(first["function"]["arguments"], stream.arguments[0]);
  EXPECT_EQ(stream.finish, "tool_calls");
  EXPECT_EQ(choice["message"]["content"], stream.content);
}

TEST(OpenaiChat, HoldsToToolChoice) {
  TestApi api(saying("I would rather talk."));
  const Json body = with(hello(), "tools", tools());
  const Json plain = api.post("/v1/chat/completions", body)->json()["choices"][0];
  EXPECT_EQ(plain["message"]["content"], "I would rather talk.");
  EXPECT_FALSE(plain["message"].contains("tool_calls"));
  const Json forced =
      api.post("/v1/chat/completions", with(body, "tool_choice", "required"))->json()["choices"][0];
  EXPECT_EQ(forced["finish_reason"], "tool_calls");
  EXPECT_TRUE(forced["message"]["content"].is_null());
  const Json named =
      api.post("/v1/chat/completions",
               with(body, "tool_choice", {{"type", "function"}, {"function", {{"name", "now"}}}}))
          ->json()["choices"][0];
  EXPECT_EQ(named["message"]["tool_calls"][0]["function"]["name"], "now");
  EXPECT_EQ(named["message"]["tool_calls"].size(), 1U);
  const Json none =
      api.post("/v1/chat/completions", with(body, "tool_choice", "none"))->json()["choices"][0];
  EXPECT_EQ(none["finish_reason"], "stop");
}

TEST(OpenaiChat, TakesHistoryWithCallsAndNullContent) {
  TestApi api(saying("done"));
  Json body = hello();
  body["tools"] = tools();
  body["messages"].push_back(
      {{"role", "assistant"},
       {"content", nullptr},
       {"tool_calls", Json::array({{{"id", "c1"},
                                    {"type", "function"},
                                    {"function", {{"name", "now"}, {"arguments", "{}"}}}}})}});
  body["messages"].push_back({{"role", "tool"}, {"tool_call_id", "c1"}, {"content", "12:00"}});
  const auto reply = api.post("/v1/chat/completions", body);
  EXPECT_EQ(reply->status(), 200) << reply->body();
}

TEST(OpenaiChat, UnderstandsDeprecatedFunctions) {
  TestApi api(saying("<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>"));
  const Json body = with(hello(), "functions", Json::array({{{"name", "now"}}}));
  const Json choice = api.post("/v1/chat/completions", body)->json()["choices"][0];
  EXPECT_EQ(choice["finish_reason"], "function_call") << choice;
  EXPECT_EQ(choice["message"]["function_call"]["name"], "now");
}

// ---- form

TEST(OpenaiChat, KeepsPromisesOfForm) {
  TestApi api(saying("not what was asked"));
  const Json schema = Json::parse(
      R"({"type": "object", "properties": {"b": {"type": "boolean"}}, "required": ["b"]})");
  for (const Json& wish :
       {Json{{"response_format",
              {{"type", "json_schema"}, {"json_schema", {{"name", "x"}, {"schema", schema}}}}}},
        Json{{"guided_json", schema}}, Json{{"guided_json", schema.dump()}},
        Json{{"structured_outputs", {{"json", schema}}}}}) {
    Json body = hello();
    body.update(wish);
    const auto reply = api.post("/v1/chat/completions", body);
    ASSERT_EQ(reply->status(), 200) << reply->body();
    const std::string text = reply->json()["choices"][0]["message"]["content"];
    EXPECT_TRUE(Json::parse(text)["b"].is_boolean()) << text;
    // The same at the least budget that is let in, and not below.
    body["max_tokens"] = 1;
    const Json refused = api.post("/v1/chat/completions", body)->json();
    EXPECT_EQ(refused["error"]["param"], "max_tokens") << refused;
  }
  const Json object =
      api.post("/v1/chat/completions", with(hello(), "response_format", {{"type", "json_object"}}))
          ->json();
  EXPECT_TRUE(
      Json::parse(object["choices"][0]["message"]["content"].get<std::string>()).is_object());
  const Json word =
      api.post("/v1/chat/completions", with(hello(), "guided_choice", {"yes \"q\"", "yes \\n"}))
          ->json();
  EXPECT_TRUE(word["choices"][0]["message"]["content"] == "yes \"q\"" ||
              word["choices"][0]["message"]["content"] == "yes \\n");
  const Json digits =
      api.post("/v1/chat/completions", with(hello(), "guided_regex", "[0-9]{3}"))->json();
  EXPECT_EQ(digits["choices"][0]["message"]["content"].get<std::string>().size(), 3U);
}

// ---- the client, the queue, the end

TEST(OpenaiChat, FreesTheEngineWhenTheClientGoes) {
  for (const bool stream : {false, true}) {
    EchoOptions options = saying(std::string(3000, 'x'));
    options.token_seconds = 0.002;
    TestApi api(options);
    const auto reply =
        api.begin("POST", "/v1/chat/completions", with(hello(), "stream", stream).dump());
    while (api.model.engine.counts().running == 0) std::this_thread::yield();
    reply->leave();
    while (api.meter.records().empty()) std::this_thread::yield();
    EXPECT_TRUE(api.meter.records()[0].client_gone);
    EXPECT_EQ(api.model.engine.counts().cancelled, 1U);
  }
}

TEST(OpenaiChat, RefusesWhatTheEngineRefuses) {
  EchoOptions options;
  options.waiting = 0;
  TestApi full(options);
  const auto reply = full.post("/v1/chat/completions", hello());
  EXPECT_EQ(reply->status(), 429);
  EXPECT_FALSE(reply->header("retry-after").empty());
  TestApi draining;
  draining.model.engine.drain();
  EXPECT_EQ(draining.post("/v1/chat/completions", hello())->status(), 503);
  EchoOptions small;
  small.context = 10;
  TestApi tight(small);
  const auto long_reply = tight.post("/v1/chat/completions", hello());
  EXPECT_EQ(long_reply->status(), 400);
  const Json error = long_reply->json()["error"];
  EXPECT_EQ(error["code"], "context_length_exceeded");
  EXPECT_NE(error["message"].get<std::string>().find("10 tokens"), std::string::npos) << error;
  const auto missing = tight.post("/v1/chat/completions", with(hello(), "model", "gpt-x"));
  EXPECT_EQ(missing->status(), 404);
  EXPECT_EQ(missing->json()["error"]["code"], "model_not_found");
  EXPECT_EQ(missing->json()["error"]["param"], "model");
}

TEST(OpenaiChat, TellsAnErrorAfterTheStreamBegan) {
  EchoOptions options = saying("abcabcabcabc");
  options.fail_after = 2;
  TestApi api(options);
  const auto reply = api.post("/v1/chat/completions", streamed(hello()));
  EXPECT_EQ(reply->status(), 200);
  const auto events = stream_events(reply->body());
  const Json& error = events.back()["error"];
  for (const char* name : {"message", "type", "param", "code"}) {
    EXPECT_TRUE(error.contains(name)) << name;
  }
  EXPECT_EQ(api.post("/v1/chat/completions", hello())->status(), 500);
}

TEST(OpenaiChat, NamesWhatHadNoEffect) {
  TestApi api(saying("x"));
  Json body = hello();
  body["store"] = true;
  body["metadata"] = {{"a", "b"}};
  body["some_new_field"] = 1;
  const auto reply = api.post("/v1/chat/completions", body);
  EXPECT_EQ(reply->status(), 200);
  EXPECT_EQ(reply->header("x-nautile-ignored"), "store, metadata, some_new_field");
}

}  // namespace
}  // namespace nautile::server
