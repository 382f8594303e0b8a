// `nautile serve` under load, from outside: many streams, a full queue, clients that are slow or
// leave. The sizes are a test's; tools/load_test.py has the real ones.
#include "tests/chat_model.h"
#include "tests/serve_program.h"

namespace nautile::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using server::Client;
using server::comes;

constexpr const char* kSmall = "models/think-small";

class ServeLoad : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("nautile_load_" + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  void serve(const std::string& model, std::vector<std::string> options) {
    model_ = fs::path(model).filename();
    options.insert(options.begin(), {"--port", "0", model, "--no-page"});
    program_ = std::make_unique<Program>(folder_, options);
    port_ = program_->port();
    ASSERT_NE(port_, 0) << program_->err();
  }

  // What `nautile bench serve` finds with one number of clients.
  json bench(int clients, const std::string& options) const {
    const fs::path out = folder_ / "bench";
    const std::string command = fmt::format(
        "{} bench serve --json --url http://127.0.0.1:{} --endpoint completions "
        "--shared 0 --own 6 --ignore-eos --warm-up 0 --clients {} {} >'{}' 2>&1",
        NAUTILE_BINARY, port_, clients, options, out.string());
    const int status = std::system(command.c_str());
    const json found = json::parse(Program::read(out), nullptr, false);
    EXPECT_EQ(status, 0) << Program::read(out);
    return found.is_object() ? found["runs"][0] : json();
  }

  // A number of /metrics; a server whose other connections are all busy answers it, too.
  double metric(const std::string& name) const {
    Client client(port_, kPatience);
    const std::string text = client.get("/metrics").body;
    const std::string line = fmt::format("\n{}{{model=\"{}\"}} ", name, model_);
    const std::size_t at = text.find(line);
    EXPECT_NE(at, text.npos) << name;
    return at == text.npos ? -1 : std::stod(text.substr(at + line.size()));
  }
  bool becomes(const std::string& name, double value) const {
    return comes([&] { return metric(name) == value; }, kPatience);
  }

  fs::path folder_;
  std::string model_;
  std::unique_ptr<Program> program_;
  std::uint16_t port_ = 0;
};

TEST_F(ServeLoad, ManyStreamsDecodeInOneBatch) {
  serve(kSmall, {"--queue", "1024", "--parallel", "128"});
  const json run = bench(300, "--requests 300 --max-tokens 16");
  EXPECT_EQ(run["answers"], 300) << run;
  EXPECT_EQ(run["tokens"], 300 * 16) << run;
  EXPECT_TRUE(run["failures"].empty()) << run;
  EXPECT_GE(metric("nautile_batch_decode_rows_max"), 64);
  EXPECT_EQ(metric("nautile_engine_finished_total"), 300);
  EXPECT_EQ(metric("nautile_kv_pages_used"), 0);
}

TEST_F(ServeLoad, AFullQueueRefusesAtOnce) {
  serve(kSmall, {"--queue", "4", "--parallel", "2"});
  const json run = bench(48, "--requests 48 --max-tokens 200");
  EXPECT_GE(run["answers"], 6) << run;
  ASSERT_EQ(run["failures"].size(), 1U) << run;
  const json& refused = run["failures"][0];
  EXPECT_EQ(refused["status"], 429) << run;
  EXPECT_EQ(refused["count"], 48 - run["answers"].get<int>()) << run;
  EXPECT_EQ(refused["with_retry_after"], refused["count"]) << run;
  // They do not wait for those who are answered.
  EXPECT_LT(refused["seconds"]["p50"], run["whole"]["p50"]) << run;
}

TEST_F(ServeLoad, SlowHeadsHurtNobody) {
  serve(kSmall, {});
  std::vector<Client> slow;
  for (int i = 0; i < 200; ++i) {
    slow.emplace_back(port_, kPatience);
    ASSERT_TRUE(slow.back().send("POST /v1/completions HT"));
  }
  const json run = bench(4, "--requests 16 --max-tokens 4");
  EXPECT_EQ(run["answers"], 16) << run;
  EXPECT_LT(run["whole"]["p99"], 5) << run;
  // Until their time is over.
  for (Client& client : slow) {
    EXPECT_TRUE(client.sees("408")) << client.input();
    client.rest();
  }
}

// A place is free again as soon as its client is gone, however far the answer is.
TEST_F(ServeLoad, WhoLeavesGivesTheirPlaceBack) {
  // Answers that would take longer than the test.
  serve(make_chat_model(folder_),
        {"--parallel", "2", "--queue", "4", "--ctx", "100000", "--kv-tokens", "300000"});
  double left = 0;
  const auto ask = [&](const std::string& prompt, bool stream) {
    Client client(port_, kPatience);
    const json body = {
        {"prompt", prompt}, {"max_tokens", 90000}, {"stream", stream}, {"ignore_eos", true}};
    EXPECT_TRUE(client.send(post("/v1/completions", body)));
    return client;
  };
  const auto leave = [&](Client& client) {
    client.leave();
    EXPECT_TRUE(becomes("nautile_engine_cancelled_total", ++left)) << program_->err();
  };
  const std::string book(8000, 'x');
  for (int i = 0; i < 5; ++i) {
    const std::string number = std::to_string(i);
    // As soon as the engine has it: in the queue or at its prompt.
    Client early = ask(number + book, true);
    EXPECT_TRUE(becomes("nautile_engine_requests_total", left + 1));
    leave(early);
    Client streams = ask("streams " + number, true);
    EXPECT_TRUE(streams.sees("data: "));
    leave(streams);
    Client whole = ask("whole " + number, false);
    EXPECT_TRUE(becomes("nautile_engine_running", 1));
    leave(whole);
    // Behind others, who go on.
    Client one = ask("one", false), two = ask("two", false);
    EXPECT_TRUE(becomes("nautile_engine_running", 2));
    Client waits = ask("waits", false);
    EXPECT_TRUE(becomes("nautile_engine_waiting", 1));
    leave(waits);
    EXPECT_EQ(metric("nautile_engine_waiting"), 0);
    EXPECT_EQ(metric("nautile_engine_running"), 2);
    leave(one);
    leave(two);
    // Whose body has not come whole has no place yet.
    Client half(port_, kPatience);
    half.send("POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{");
    half.leave();
    EXPECT_TRUE(becomes("nautile_engine_running", 0));
  }
  EXPECT_EQ(metric("nautile_kv_pages_used"), 0);
  EXPECT_EQ(metric("nautile_engine_failed_total"), 0);
}

}  // namespace
}  // namespace nautile::test
