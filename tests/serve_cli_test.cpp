// `nautile serve` from outside: real requests to the real program with the small model that comes
// with it; how it starts, refuses to start, and ends.
#include "base/file.h"
#include "store/safetensors_writer.h"
#include "tests/serve_program.h"

namespace nautile::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using server::Client;
using server::comes;
using server::Response;

class ServeCli : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("nautile_serve_" + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  static std::string chat(int tokens, bool stream, const std::string& fields = "") {
    json body;
    body["messages"] = json::array();
    body["messages"].push_back({{"role", "user"}, {"content", "Make 11 from 17 15 9."}});
    body["max_tokens"] = tokens;
    body["temperature"] = 0;
    body["ignore_eos"] = true;
    body["stream"] = stream;
    return post("/v1/chat/completions", body, fields);
  }
  fs::path folder_;
};

#define EXPECT_SAYS(text, part) EXPECT_NE((text).find(part), std::string::npos) << text

constexpr const char* kModel = "models/think-small";

TEST_F(ServeCli, AnswersAndEnds) {
  Program program(folder_, {"--port", "0", kModel});
  const std::uint16_t port = program.port();
  EXPECT_SAYS(program.out(), "nautile serves think-small at http://127.0.0.1:");
  Client client(port, kPatience);
  EXPECT_EQ(client.get("/health").body, "{\"status\":\"ok\"}\n");
  const json models = json::parse(client.get("/v1/models").body);
  EXPECT_EQ(models["data"][0]["id"], "think-small");

  client.send(chat(8, false, "x-request-id: whole-1\r\n"));
  const Response whole = client.response();
  ASSERT_EQ(whole.status, 200) << whole.body;
  const json answer = json::parse(whole.body);
  EXPECT_EQ(answer["usage"]["completion_tokens"], 8);
  client.send(chat(8, true));
  const Response stream = client.response();
  EXPECT_TRUE(stream.whole);
  EXPECT_TRUE(stream.body.ends_with("data: [DONE]\n\n")) << stream.body;

  const std::string metrics = client.get("/metrics").body;
  EXPECT_SAYS(metrics, "nautile_completion_tokens_total{model=\"think-small\"} 16\n");
  EXPECT_SAYS(metrics,
              "nautile_http_requests_total{method=\"POST\",route=\"/v1/chat/completions\"");
  EXPECT_SAYS(metrics, "nautile_time_to_first_token_seconds_count{model=\"think-small\"} 2\n");

  // One line for each request, without what was said.
  ASSERT_TRUE(comes([&] { return program.log("request").size() >= 5; }));
  bool found = false;
  for (const json& line : program.log("request")) {
    if (line["id"] != "whole-1") continue;
    found = true;
    EXPECT_EQ(line["status"], 200);
    EXPECT_EQ(line["completion_tokens"], 8);
  }
  EXPECT_TRUE(found) << program.err();
  EXPECT_EQ(program.err().find("17 15 9"), std::string::npos);
  program.signal(SIGTERM);
  EXPECT_EQ(program.code(), 0) << program.err();
}

TEST_F(ServeCli, KeysAndHosts) {
  Program program(folder_, {"--port", "0", "--host", "0.0.0.0", kModel},
                  {"NAUTILE_API_KEYS=alice:secret-of-alice"});
  Client client(program.port(), kPatience);
  EXPECT_EQ(client.get("/health").status, 200);
  EXPECT_EQ(client.get("/").status, 200);
  const Response refused = client.get("/v1/models");
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(json::parse(refused.body)["error"]["code"], "invalid_api_key");
  client.send(chat(2, false, "Authorization: Bearer secret-of-alice\r\n"));
  EXPECT_EQ(client.response().status, 200);
  EXPECT_TRUE(comes([&] {
    for (const json& line : program.log("request")) {
      if (line["key"] == "alice") return true;
    }
    return false;
  })) << program.err();
  EXPECT_EQ(program.err().find("secret-of-alice"), std::string::npos);
  client.send(
      "GET /v1/models HTTP/1.1\r\nHost: evil.example\r\nx-api-key: secret-of-alice\r\n\r\n");
  EXPECT_EQ(client.response().status, 403);
}

TEST_F(ServeCli, RefusesToStart) {
  const auto error_of = [&](std::vector<std::string> arguments, int code) {
    Program program(folder_, std::move(arguments));
    EXPECT_EQ(program.code(), code) << program.err();
    return program.err();
  };
  EXPECT_SAYS(error_of({"--host", "0.0.0.0", kModel}, 2), "no API key");
  EXPECT_SAYS(error_of({"--port", "70000", kModel}, 2), "--port: Value 70000 not in range");
  EXPECT_SAYS(error_of({"--tls-cert", "x.pem", kModel}, 2), "--tls-key");
  EXPECT_SAYS(error_of({"--port", "0", "/nonexistent/model.gguf"}, 1), "/nonexistent/model.gguf");
  EXPECT_SAYS(error_of({"--port", "0", "--api-keys", "/nonexistent", kModel}, 1), "--api-keys");
  // An option that may be repeated does not take the model for another value of its own.
  EXPECT_SAYS(error_of({"--port", "0", "--adapter", "a=/nonexistent", "/gone/model.gguf"}, 1),
              "there is no model at /gone/model.gguf");
  EXPECT_SAYS(error_of({"--port", "0", kModel, "--adapter", "a=/nonexistent"}, 1),
              "there is no adapter at /nonexistent");
  EXPECT_SAYS(
      error_of({"--port", "0", "-m", "a=models/think-small", "-m", "a=models/think-small"}, 2),
      "two models are called 'a'");
  EXPECT_SAYS(error_of({"--max-memory", "much", kModel}, 2), "--max-memory");
  EXPECT_SAYS(error_of({"--port", "0", "--max-memory", "1MB", kModel}, 4), "memory");
}

TEST_F(ServeCli, DrainsWhatRuns) {
  Program program(folder_, {"--port", "0", "--grace", "60", kModel});
  const std::uint16_t port = program.port();
  std::vector<Client> clients;
  for (int i = 0; i < 8; ++i) {
    clients.emplace_back(port, kPatience);
    clients.back().send(chat(100, true));
  }
  for (Client& client : clients) ASSERT_TRUE(client.sees("data: "));
  program.signal(SIGTERM);
  for (Client& client : clients) {
    const Response response = client.response();
    EXPECT_TRUE(response.whole);
    EXPECT_TRUE(response.body.ends_with("data: [DONE]\n\n"));
    EXPECT_SAYS(response.body, "\"length\"");
  }
  EXPECT_EQ(program.code(), 0);
}

TEST_F(ServeCli, CancelsWhatIsLeftAfterTheGrace) {
  Program program(folder_, {"--port", "0", "--grace", "0", "--parallel", "8", kModel});
  const std::uint16_t port = program.port();
  std::vector<Client> clients;
  for (int i = 0; i < 50; ++i) {
    clients.emplace_back(port, kPatience);
    clients.back().send(chat(400, true));
  }
  ASSERT_TRUE(clients[0].sees("data: "));
  program.signal(SIGTERM);
  const double start = server::seconds_now();
  EXPECT_EQ(program.code(), 0);
  EXPECT_LT(server::seconds_now() - start, 30);
  for (Client& client : clients) {
    const Response response = client.response();
    // Ended by themselves, ended with an error, or refused before they began.
    if (response.status == 200) {
      EXPECT_TRUE(response.whole) << response.body;
      EXPECT_TRUE(response.body.ends_with("data: [DONE]\n\n") ||
                  response.body.find("\"error\"") != std::string::npos)
          << response.body;
    } else {
      EXPECT_EQ(response.status, 503) << response.body;
    }
  }
}

TEST_F(ServeCli, SecondSignalEndsAtOnce) {
  Program program(folder_, {"--port", "0", "--grace", "600", "--parallel", "1", kModel});
  const std::uint16_t port = program.port();
  std::vector<Client> clients;
  for (int i = 0; i < 30; ++i) {
    clients.emplace_back(port, kPatience);
    clients.back().send(chat(400, true));
    if (i == 0) {
      ASSERT_TRUE(clients[0].sees("data: "));
    }
  }
  program.signal(SIGINT);
  ASSERT_TRUE(comes([&] { return !program.log("draining").empty(); }, kPatience));
  program.signal(SIGINT);
  EXPECT_EQ(program.code(20), 0);
}

TEST_F(ServeCli, SeveralModels) {
  Program program(folder_, {"--port", "0", "--idle-unload", "1", "-m", "one=models/think-small",
                            "-m", "two=models/think-small"});
  Client client(program.port(), kPatience);
  const auto ask = [&](const std::string& model) {
    client.send(post("/v1/completions", {{"model", model}, {"prompt", "1"}, {"max_tokens", 1}}));
    return client.response();
  };
  EXPECT_EQ(ask("one").status, 200);
  EXPECT_EQ(program.log("model_loaded").size(), 1U);
  EXPECT_EQ(ask("two").status, 200);
  EXPECT_EQ(program.log("model_loaded").size(), 2U);
  EXPECT_EQ(ask("three").status, 404);
  // Unloaded when nobody uses them, and loaded again.
  ASSERT_TRUE(comes([&] { return program.log("model_unloaded").size() == 2; }, kPatience))
      << program.err();
  EXPECT_EQ(ask("two").status, 200);
}

// An adapter of the last layer's o_proj [192, 128], of rank 1 and large numbers: nobody answers as
// without it.
void write_adapter(const fs::path& folder) {
  fs::create_directories(folder);
  write_file_atomic((folder / "adapter_config.json").string(),
                    R"({"peft_type": "LORA", "r": 1, "lora_alpha": 1, "bias": "none",
                        "target_modules": ["o_proj"]})");
  const std::string name = "base_model.model.model.layers.4.self_attn.o_proj.";
  const std::vector<store::SafetensorsEntry> entries = {{name + "lora_A.weight", "F32", {1, 128}},
                                                        {name + "lora_B.weight", "F32", {192, 1}}};
  store::SafetensorsWriter writer((folder / "adapter_model.safetensors").string(), entries);
  for (const store::SafetensorsEntry& entry : entries) {
    std::vector<float> values(static_cast<std::size_t>(entry.shape.elements()));
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<float>(static_cast<int>(i * 7 % 11) - 5);
    }
    writer.append(std::as_bytes(std::span(values)));
  }
  writer.finish();
}

// By its name as `model`, as vLLM's clients do it; by its number in `lora`, as llama-server's do.
TEST_F(ServeCli, AdaptersAreChosenByRequests) {
  write_adapter(folder_ / "adapter");
  Program program(folder_,
                  {"--port", "0", kModel, "--adapter", "bent=" + (folder_ / "adapter").string()});
  Client client(program.port(), kPatience);
  const auto answer = [&](json fields) {
    fields.update({{"prompt", "Make 11 from 17 15 9."},
                   {"max_tokens", 12},
                   {"temperature", 0},
                   {"ignore_eos", true}});
    client.send(post("/v1/completions", fields));
    const Response response = client.response();
    EXPECT_EQ(response.status, 200) << response.body;
    return json::parse(response.body);
  };
  const auto wish = [](double scale) {
    json list = json::array();
    list.push_back({{"id", 0}, {"scale", scale}});
    return list;
  };
  // Beside an adapter `model` may still be left out.
  const json plain = answer(json::object()), bent = answer({{"model", "bent"}});
  EXPECT_EQ(plain["model"], "think-small");
  EXPECT_EQ(bent["model"], "bent");
  EXPECT_NE(plain["choices"][0]["text"], bent["choices"][0]["text"]);
  const json numbered = answer({{"lora", wish(1)}});
  EXPECT_EQ(numbered["model"], "bent");
  EXPECT_EQ(numbered["choices"][0]["text"], bent["choices"][0]["text"]);
  EXPECT_EQ(answer({{"lora", wish(0)}})["choices"][0]["text"], plain["choices"][0]["text"]);
  EXPECT_EQ(client.get("/lora-adapters").body, R"([{"id":0,"path":"bent","scale":0.0}])");
  const json models = json::parse(client.get("/v1/models").body);
  EXPECT_EQ(models["data"][1]["parent"], "think-small");
}

// A client that takes no gzip can read the page.
TEST_F(ServeCli, ThePageIsPlainForPlainClients) {
  Program program(folder_, {"--port", "0", kModel});
  Client client(program.port(), kPatience);
  const Response plain = client.get("/");
  EXPECT_TRUE(plain.body.starts_with("<!doctype html>")) << plain.body.substr(0, 40);
  client.send("GET / HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip, br\r\n\r\n");
  EXPECT_TRUE(client.response().body.starts_with("\x1f\x8b"));
}

}  // namespace
}  // namespace nautile::test
