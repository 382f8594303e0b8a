// `nautile serve` in mixed use, long enough for a leak to show: what it takes after thousands of
// requests is what it took after the first hundreds. tools/load_test.py has the hours.
#include <algorithm>
#include <atomic>
#include <random>
#include <thread>

#include "tests/serve_program.h"

namespace nautile::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using server::Client;
using server::Response;

// Bytes of memory that belong to the process alone (proc(5): RssAnon). What it maps of files comes
// and goes as the system likes.
std::int64_t own_bytes(pid_t process) {
  std::istringstream status(Program::read(fmt::format("/proc/{}/status", process)));
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("RssAnon:")) return std::stoll(line.substr(8)) * 1024;
  }
  return -1;
}

// One request of any kind -> what was wrong with it, or "".
std::string ask(std::uint16_t port, std::mt19937& random) {
  std::string words;
  for (auto left = 1 + random() % 20; left > 0; --left) words += fmt::format("{} ", random() % 100);
  const json body = {{"prompt", words},
                     {"max_tokens", 1 + random() % 16},
                     {"stream", random() % 2 == 0},
                     {"ignore_eos", true}};
  Client client(port, kPatience);
  const auto status_of = [&](const std::string& text, int expected) {
    client.send(text);
    const Response answer = client.response();
    // A full queue is an answer, too.
    return answer.whole && (answer.status == expected || answer.status == 429)
               ? std::string()
               : fmt::format("status {}: {}", answer.status, answer.body);
  };
  switch (random() % 6) {
    case 0:
      client.send(post("/v1/completions", body));
      if (body["stream"]) client.sees("data: ");
      return "";  // it leaves
    case 1:
      return status_of(post("/v1/completions", {{"prompt", words}, {"max_tokens", -1}}), 400);
    case 2:
      return status_of(
          post("/v1/chat/completions", {{"messages", {{{"role", "user"}, {"content", words}}}},
                                        {"max_tokens", body["max_tokens"]}}),
          200);
    default:
      return status_of(post("/v1/completions", body), 200);
  }
}

void ask_many(std::uint16_t port, int requests) {
  constexpr int kClients = 12;
  static unsigned seed = 1;
  std::atomic<int> left{requests};
  std::vector<std::string> wrong(kClients);
  std::vector<std::thread> clients;
  for (std::string& mine : wrong) {
    clients.emplace_back([&, number = seed++] {
      std::mt19937 random(number);
      while (mine.empty() && left-- > 0) mine = ask(port, random);
    });
  }
  for (std::thread& client : clients) client.join();
  for (const std::string& what : wrong) EXPECT_EQ(what, "");
}

TEST(ServeSoak, MemoryStaysWhatItIs) {
  constexpr int kWarmUp = 600, kRequests = 1000;
  // A leak of half a KiB for each request is found.
  constexpr std::int64_t kMost = std::int64_t{kRequests} * 512;
  const fs::path folder = fs::temp_directory_path() / fmt::format("nautile_soak_{}", getpid());
  {
    Program program(folder, {"--port", "0", "models/think-small", "--no-page", "--parallel", "8",
                             "--queue", "16", "--ctx", "256", "--kv-tokens", "2048"});
    const std::uint16_t port = program.port();
    ASSERT_NE(port, 0) << program.err();
    // Until caches and pools are full.
    ask_many(port, kWarmUp);
    // A leak shows in every round; a pool or an arena that fills late in one.
    std::int64_t least = kMost;
    for (int round = 0; round < 4 && least >= kMost; ++round) {
      const std::int64_t before = own_bytes(program.pid());
      ask_many(port, kRequests);
      const std::int64_t after = own_bytes(program.pid());
      std::printf("%d requests: %.2f MiB, then %.2f MiB\n", kRequests,
                  static_cast<double>(before) / (1 << 20), static_cast<double>(after) / (1 << 20));
      EXPECT_GT(before, 0);
      least = std::min(least, after - before);
    }
    EXPECT_LT(least, kMost);
  }
  fs::remove_all(folder);
}

}  // namespace
}  // namespace nautile::test
