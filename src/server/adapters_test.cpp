// adapters_test.cpp — which model a request means that names adapters.
#include "server/adapters.h"

#include <gtest/gtest.h>

#include "server/api_error.h"
#include "server/server_testing.h"

namespace nautile::server {
namespace {

std::vector<ModelEntry> some_models() {
  std::vector<ModelEntry> models(4);
  models[0].name = "base";
  models[1].name = "other";
  models[2].name = "poet";
  models[2].base = "base";
  models[3].name = "clerk";
  models[3].base = "base";
  return models;
}

std::string chosen(std::string model, std::optional<std::vector<AdapterWish>> adapters) {
  Call call;
  call.model = std::move(model);
  call.adapters = std::move(adapters);
  return adapted_model(call, some_models());
}

TEST(Adapters, OneOfScaleOneIsTheModel) {
  using Wishes = std::vector<AdapterWish>;
  EXPECT_EQ(chosen("base", Wishes{{0, 1}}), "poet");
  EXPECT_EQ(chosen("base", Wishes{{0, 0}, {1, 1}}), "clerk");
  EXPECT_EQ(chosen("", Wishes{{1, 1}}), "clerk");
  EXPECT_EQ(chosen("base", Wishes{{1, 1}, {1, 1}}), "clerk");
  // None, or nothing said: the model as it was named.
  EXPECT_EQ(chosen("base", Wishes{}), "base");
  EXPECT_EQ(chosen("base", Wishes{{0, 0}}), "base");
  EXPECT_EQ(chosen("poet", std::nullopt), "poet");
  EXPECT_EQ(chosen("", std::nullopt), "");
  // A name that is not there is refused where models are found.
  EXPECT_EQ(chosen("none", Wishes{{0, 1}}), "none");
}

TEST(Adapters, ErrorsNameTheField) {
  struct Case {
    std::string model;
    std::vector<AdapterWish> adapters;
    std::string param, part;
  };
  for (const Case& wrong : std::vector<Case>{
           {"base", {{2, 1}}, "lora[0].id", "one of the 2 adapters"},
           {"base", {{0, 1}, {-1, 1}}, "lora[1].id", "found -1"},
           {"base", {{0, 0.5}}, "lora[0].scale", "found 0.5"},
           {"base", {{0, 1}, {1, 1}}, "lora", "found poet and clerk"},
           {"other", {{0, 1}}, "lora[0].id", "an adapter of other, found one of base"},
           {"poet", {{1, 1}}, "lora", "itself an adapter"}}) {
    try {
      chosen(wrong.model, wrong.adapters);
      ADD_FAILURE() << wrong.part << ": no error";
    } catch (const ApiError& error) {
      EXPECT_EQ(error.status, 400);
      EXPECT_EQ(error.param, wrong.param);
      EXPECT_NE(std::string(error.what()).find(wrong.part), std::string::npos) << error.what();
    }
  }
}

TEST(Adapters, AreListedByNumber) {
  const Json list = adapters_json(some_models());
  EXPECT_EQ(list.dump(),
            R"([{"id":0,"path":"poet","scale":0.0},{"id":1,"path":"clerk","scale":0.0}])");
  EXPECT_EQ(adapters_json({}).dump(), "[]");
}

TEST(Adapters, AreAskedForInRequests) {
  TestApi api(saying("hi"));
  EXPECT_EQ(api.get("/lora-adapters")->body(), "[]");
  const auto ask = [&](const char* path, const char* lora) {
    return api.post(path, std::string(R"({"prompt":"x","messages":[{"role":"user","content":"x"}],)"
                                      R"("max_tokens":2,"lora":)") +
                              lora + "}");
  };
  for (const char* path : {"/v1/chat/completions", "/v1/completions"}) {
    EXPECT_EQ(ask(path, "[]")->status(), 200);
    for (const auto& [lora, param] : std::vector<std::pair<const char*, const char*>>{
             {R"([{"id":0,"scale":1}])", "lora[0].id"},
             {R"([{"id":0}])", "lora[0].scale"},
             {R"([{"id":0,"scale":2}])", "lora[0].scale"},
             {R"({"id":0,"scale":1})", "lora"}}) {
      const auto reply = ask(path, lora);
      EXPECT_EQ(reply->status(), 400) << lora;
      EXPECT_EQ(reply->json()["error"]["param"].dump(), '"' + std::string(param) + '"');
    }
  }
}

}  // namespace
}  // namespace nautile::server
