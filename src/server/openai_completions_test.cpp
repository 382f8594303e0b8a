// openai_completions_test.cpp — completions, embeddings, models, tokens.
#include "server/openai_completions.h"

#include <gtest/gtest.h>

#include <cmath>

#include "server/completion_manner.h"
#include "server/server_testing.h"

namespace nautile::server {
namespace {

TEST(OpenaiCompletions, GoesOnWithTextAndIds) {
  TestApi api;  // says the prompt again
  const Json text = api.post("/v1/completions", Json{{"prompt", "abc x"}})->json();
  EXPECT_EQ(text["object"], "text_completion");
  EXPECT_EQ(text["choices"][0]["text"], "abc x");
  EXPECT_EQ(text["choices"][0]["finish_reason"], "stop");
  const Json ids = api.post("/v1/completions", Json{{"prompt", {97, 98}}})->json();
  EXPECT_EQ(ids["choices"][0]["text"], "ab");
  const Json many = api.post("/v1/completions", Json{{"prompt", {"one", "two"}}, {"n", 2}})->json();
  ASSERT_EQ(many["choices"].size(), 4U);
  EXPECT_EQ(many["choices"][0]["text"], "one");
  EXPECT_EQ(many["choices"][3]["text"], "two");
  EXPECT_EQ(many["choices"][3]["index"], 3);
  const Json lists =
      api.post("/v1/completions", std::string(R"({"prompt": [[97], [98, 99]]})"))->json();
  EXPECT_EQ(lists["choices"][1]["text"], "bc");
}

TEST(OpenaiCompletions, ReadsSpecialTokensInPromptsAsSuch) {
  TestApi api;
  const Json answer = api.post("/v1/completions", Json{{"prompt", "a</s>b"}})->json();
  EXPECT_EQ(answer["usage"]["prompt_tokens"], 3);
}

TEST(OpenaiCompletions, EchoesWithLogprobs) {
  TestApi api(saying("cc"));
  const Json body = {{"prompt", "ab 你"}, {"echo", true}, {"logprobs", 2}, {"max_tokens", 1}};
  const Json choice = api.post("/v1/completions", body)->json()["choices"][0];
  EXPECT_EQ(choice["text"], "ab 你cc");
  const Json& logprobs = choice["logprobs"];
  const std::size_t count = logprobs["tokens"].size();
  EXPECT_EQ(logprobs["token_logprobs"].size(), count);
  EXPECT_EQ(logprobs["text_offset"].size(), count);
  EXPECT_TRUE(logprobs["token_logprobs"][0].is_null());
  EXPECT_TRUE(logprobs["top_logprobs"][0].is_null());
  EXPECT_EQ(logprobs["top_logprobs"][1].size(), 2U);
  EXPECT_EQ(logprobs["text_offset"][0], 0);
  EXPECT_EQ(logprobs["text_offset"][count - 1], 4);
  EXPECT_EQ(logprobs["tokens"][count - 1], "cc");
  // As much again, without a token of its own.
  Json nothing = body;
  nothing["max_tokens"] = 0;
  const Json prompt = api.post("/v1/completions", nothing)->json();
  EXPECT_EQ(prompt["choices"][0]["text"], "ab 你");
  EXPECT_EQ(prompt["choices"][0]["logprobs"]["tokens"].size(), count - 1);
  EXPECT_EQ(prompt["usage"]["completion_tokens"], 0);
}

TEST(OpenaiCompletions, StreamsTheSame) {
  TestApi api(saying("some text 你好"));
  Json body = {{"prompt", "x"}, {"echo", true}, {"logprobs", 0}, {"max_tokens", 64}};
  const Json whole = api.post("/v1/completions", body)->json()["choices"][0];
  body["stream"] = true;
  std::string text;
  std::size_t tokens = 0;
  const auto events = stream_events(api.post("/v1/completions", body)->body());
  EXPECT_EQ(events.back(), "[DONE]");
  for (const Json& event : events) {
    if (!event.is_object()) continue;
    text += event["choices"][0]["text"].get<std::string>();
    const Json& logprobs = event["choices"][0]["logprobs"];
    if (logprobs.is_object()) tokens += logprobs["tokens"].size();
  }
  EXPECT_EQ(whole["text"], text);
  EXPECT_EQ(tokens, whole["logprobs"]["tokens"].size());
}

TEST(OpenaiCompletions, RefusesWhatCannotBe) {
  TestApi api;
  const auto param = [&](const Json& body) {
    const auto reply = api.post("/v1/completions", body);
    EXPECT_EQ(reply->status(), 400) << reply->body();
    return reply->json()["error"]["param"];
  };
  EXPECT_EQ(param(Json::object()), "prompt");
  EXPECT_EQ(param({{"prompt", ""}}), "prompt");
  EXPECT_EQ(param({{"prompt", Json::array()}}), "prompt");
  EXPECT_EQ(param({{"prompt", {1, 999999}}}), "prompt");
  EXPECT_EQ(param({{"prompt", {1, -1}}}), "prompt[1]");
  EXPECT_EQ(param({{"prompt", {"a", ""}}}), "prompt[1]");
  EXPECT_EQ(param({{"prompt", "a"}, {"max_tokens", 0}}), "max_tokens");
  EXPECT_EQ(param({{"prompt", "a"}, {"logprobs", 21}}), "logprobs");
  EXPECT_EQ(param({{"prompt", "a"}, {"suffix", "b"}}), "suffix");
}

TEST(OpenaiCompletions, FillsInBetween) {
  const std::string folder = tokenizer_folder("deepseek_v3");
  if (folder.empty()) GTEST_SKIP() << "no tokenizer of DeepSeek-V3 here";
  const Tokenizer tokenizer = Tokenizer::from_json(read_file(folder + "/tokenizer.json"),
                                                   read_file(folder + "/tokenizer_config.json"));
  EchoEngine engine(tokenizer, {});
  auto served = std::make_shared<ServedModel>();
  served->name = "v3";
  served->engine = &engine;
  served->tokenizer = &tokenizer;
  served->rows = tokenizer.vocab_size();
  RecordingMeter meter;
  FixedModels models({served});
  Api api(models, {}, meter);
  HttpRequest request;
  request.method = "POST";
  request.body = Json{
      {"prompt", "def f(<｜fim▁end｜>):"},
      {"suffix", "return x"},
      {"skip_special_tokens", false},
      {"max_tokens",
       100}}.dump();
  auto reply = std::make_shared<RecordingReply>();
  for (const Route& route : api.routes()) {
    if (route.path == "/beta/completions") route.handler(request, reply);
  }
  reply->wait();
  // The prompt is said again; the user's own tag stays text.
  EXPECT_EQ(reply->json()["choices"][0]["text"],
            "<｜begin▁of▁sentence｜><｜fim▁begin｜>def f(<｜fim▁end｜>):<｜fim▁hole｜>return "
            "x<｜fim▁end｜>")
      << reply->body();
}

TEST(OpenaiEmbeddings, GivesUnitVectorsInBothForms) {
  TestApi api;
  const Json body = {{"input", {"abc", "x"}}};
  const Json floats = api.post("/v1/embeddings", body)->json();
  ASSERT_EQ(floats["data"].size(), 2U) << floats;
  double squares = 0;
  for (const Json& x : floats["data"][0]["embedding"]) squares += x.get<double>() * x.get<double>();
  EXPECT_NEAR(squares, 1, 1e-6);
  EXPECT_GT(floats["usage"]["prompt_tokens"].get<int>(), 1);
  Json coded = body;
  coded["encoding_format"] = "base64";
  const std::string text = api.post("/v1/embeddings", coded)->json()["data"][0]["embedding"];
  EXPECT_EQ(text.size(), (EchoEngine::kEmbedding * 4 + 2) / 3 * 4);
  Json few = body;
  few["dimensions"] = 2;
  EXPECT_EQ(api.post("/v1/embeddings", few)->json()["data"][0]["embedding"].size(), 2U);
  few["dimensions"] = 9;
  const auto refused = api.post("/v1/embeddings", few);
  EXPECT_EQ(refused->status(), 400);
  EXPECT_EQ(refused->json()["error"]["param"], "dimensions");
}

TEST(OpenaiEmbeddings, WritesBase64) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
}

TEST(SmallEndpoints, ListModelsAndTokens) {
  TestApi api;
  const Json list = api.get("/v1/models")->json();
  EXPECT_EQ(list["data"][0]["id"], "echo");
  EXPECT_GT(list["data"][0]["max_model_len"], 0);
  EXPECT_EQ(api.get("/models/echo")->json()["object"], "model");
  const auto missing = api.get("/v1/models/a/b");
  EXPECT_EQ(missing->status(), 404);
  EXPECT_EQ(missing->json()["error"]["code"], "model_not_found");
  const Json tokens = api.post("/tokenize", Json{{"content", "abc"}})->json();
  const Json text = api.post("/detokenize", Json{{"tokens", tokens["tokens"]}})->json();
  EXPECT_EQ(text["content"], "abc");
  EXPECT_EQ(tokens["count"], tokens["tokens"].size());
  const Json pieces = api.post("/tokenize", Json{{"content", "a"}, {"with_pieces", true}})->json();
  EXPECT_EQ(pieces["tokens"][0]["piece"], "a");
  const Json chat =
      api.post("/v1/tokenize", Json{{"messages", {{{"role", "user"}, {"content", "a"}}}}})->json();
  EXPECT_GT(chat["count"].get<int>(), 3) << chat;
  const auto foreign = api.post("/detokenize", Json{{"tokens", {99999}}});
  EXPECT_EQ(foreign->json()["error"]["param"], "tokens");
}

TEST(OpenApi, DescribesEveryRoute) {
  TestApi api;
  const Json document = api.get("/openapi.json")->json();
  EXPECT_EQ(document["openapi"], "3.1.0");
  for (const Route& route : api.api.routes()) {
    std::string path = route.path;
    if (path.ends_with('*')) path.replace(path.size() - 1, 1, "{name}");
    std::string method = route.method == "GET" ? "get" : "post";
    ASSERT_TRUE(document["paths"].contains(path)) << path;
    EXPECT_TRUE(document["paths"][path].contains(method)) << path;
  }
  const Json& body = document["paths"]["/v1/chat/completions"]["post"]["requestBody"]["content"]
                             ["application/json"]["schema"];
  EXPECT_EQ(body["properties"]["n"]["anyOf"][0]["maximum"], 8);
  EXPECT_EQ(body["required"], Json({"messages"}));
}

}  // namespace
}  // namespace nautile::server
