// batch_runner_test.cpp — batches: answered, gone on with, broken off, refused.
#include "server/batch_runner.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>

#include "server/server_testing.h"

namespace nautile::server {
namespace {

class BatchTest : public ::testing::Test {
 protected:
  BatchTest() {
    std::filesystem::create_directories(folder_);
    std::filesystem::remove(out());
  }
  ~BatchTest() override { std::filesystem::remove_all(folder_); }

  std::string in() const { return folder_ + "/in.jsonl"; }
  std::string out() const { return folder_ + "/out.jsonl"; }
  void write(const std::string& path, const std::string& text) const {
    std::ofstream(path, std::ios::binary) << text;
  }
  static std::string line(int number, const std::string& text) {
    return Json{{"custom_id", fmt::format("r{}", number)},
                {"method", "POST"},
                {"url", "/v1/completions"},
                {"body", {{"prompt", text}, {"max_tokens", 64}}}}
               .dump() +
           "\n";
  }
  void write_requests(int count) const {
    std::string text;
    for (int i = 0; i < count; ++i) text += line(i, fmt::format("prompt {}", i));
    write(in(), text);
  }
  std::map<std::string, Json> answers() const {
    std::map<std::string, Json> found;
    std::ifstream stream(out());
    for (std::string text; std::getline(stream, text);) {
      const Json answer = Json::parse(text);
      const std::string id = answer["custom_id"];
      EXPECT_TRUE(found.emplace(id, answer).second) << id << " is answered twice";
    }
    return found;
  }
  static BatchRunner::Going always(const BatchCounts&) { return BatchRunner::Going::on; }

  std::string folder_ =
      fmt::format("{}batch_{}_{}", ::testing::TempDir(), getpid(),
                  ::testing::UnitTest::GetInstance()->current_test_info()->name());
};

TEST_F(BatchTest, AnswersAll) {
  EchoOptions options;
  options.waiting = 1;  // refuses some of them at first
  options.running = 1;
  TestApi api(options);
  write_requests(20);
  const BatchCounts counts = BatchRunner(api.api.routes(), 8).run(in(), out(), always);
  EXPECT_EQ(counts.all, 20);
  EXPECT_EQ(counts.done, 20);
  EXPECT_EQ(counts.refused, 0);
  const auto found = answers();
  ASSERT_EQ(found.size(), 20U);
  const Json& response = found.at("r7")["response"];
  EXPECT_EQ(response["status_code"], 200);
  EXPECT_EQ(response["body"]["choices"][0]["text"], "prompt 7");
  EXPECT_TRUE(found.at("r7")["error"].is_null());
}

TEST_F(BatchTest, GoesOnWhereItWasBrokenOff) {
  TestApi api;
  write_requests(30);
  const BatchRunner runner(api.api.routes(), 2);
  const BatchCounts first = runner.run(in(), out(), [](const BatchCounts& counts) {
    return counts.done < 5 ? BatchRunner::Going::on : BatchRunner::Going::stop;
  });
  EXPECT_LT(first.done, 30);
  {
    std::ofstream torn(out(), std::ios::app);
    torn << R"({"id": "x", "custom_id": "r29", "resp)";
  }
  const BatchCounts second = runner.run(in(), out(), always);
  EXPECT_EQ(second.before, first.done);
  EXPECT_EQ(second.done, 30 - first.done);
  EXPECT_EQ(answers().size(), 30U);
}

TEST_F(BatchTest, WritesDownWhatIsRefused) {
  TestApi api;
  Json bad = Json::parse(line(0, "x"));
  bad["body"]["temperature"] = 9;
  write(in(), bad.dump() + "\n" + line(1, "y"));
  const BatchCounts counts = BatchRunner(api.api.routes(), 2).run(in(), out(), always);
  EXPECT_EQ(counts.refused, 1);
  EXPECT_EQ(answers().at("r0")["response"]["status_code"], 400);
  EXPECT_EQ(answers().at("r0")["response"]["body"]["error"]["param"], "temperature");
}

TEST_F(BatchTest, NamesTheLineThatIsNoRequest) {
  TestApi api;
  const BatchRunner runner(api.api.routes(), 2);
  const auto told = [&](const std::string& second) {
    write(in(), line(0, "x") + second + "\n");
    return error_of([&] { runner.run(in(), out(), always); });
  };
  EXPECT_NE(told("{").find("in.jsonl:2"), std::string::npos);
  EXPECT_NE(told(line(0, "again")).find("twice"), std::string::npos);
  EXPECT_NE(told(R"({"custom_id": "a", "method": "POST", "url": "/nowhere", "body": {}})")
                .find("/nowhere"),
            std::string::npos);
  EXPECT_NE(
      told(
          R"({"custom_id": "a", "method": "POST", "url": "/v1/completions", "body": {"stream": true}})")
          .find("in.jsonl:2"),
      std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(out()));
  EXPECT_NE(error_of([&] { runner.run(folder_ + "/none", out(), always); }).find("none"),
            std::string::npos);
}

}  // namespace
}  // namespace nautile::server
