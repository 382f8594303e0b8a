// A server, its workers and an engine under clients of every kind at once; ThreadSanitizer looks
// on.
#include <gtest/gtest.h>

#include <atomic>
#include <random>

#include "server/service_testing.h"

namespace nautile::server {
namespace {

std::string post(const std::string& path, const std::string& body) {
  return fmt::format(
      "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
      "Content-Length: {}\r\n\r\n{}",
      path, body.size(), body);
}

EchoOptions lively() {
  EchoOptions options;
  options.token_seconds = 0.0005;
  options.running = 8;
  options.waiting = 16;
  return options;
}

struct ServedService : TestService {
  ServedService()
      : TestService(lively()),
        http({}, Gate({{"POST", "/ask", ask}, {"POST", "/tell", tell}}, {}), metrics, log) {}
  ~ServedService() { http.stop(); }

  JsonLog log{-1};
  HttpServer http;
};

// The text of a stream of completions; throws where it ends with an error.
std::string joined(const std::string& body) {
  std::string text;
  for (const Json& event : stream_events(body)) {
    if (event.is_object()) text += event.at("choices").at(0).at("text").get<std::string>();
  }
  return text;
}

// The text of a whole one; throws where there is none.
std::string said(const std::string& body) {
  return Json::parse(body).at("choices").at(0).at("text").get<std::string>();
}

// Asks `count` times and says what was wrong with an answer, or "".
std::string use(const ServedService& served, unsigned seed, int count, std::atomic<int>& whole) {
  std::mt19937 random(seed);
  Client client(served.http.port());
  for (int i = 0; i < count; ++i) {
    const std::string prompt = fmt::format("{} {} abc", seed, random() % 1000);
    const bool streamed = random() % 2 == 0;
    const Json body = {{"prompt", prompt}, {"max_tokens", 12}, {"stream", streamed}};
    switch (random() % 5) {
      case 0: {
        Client leaving(served.http.port());
        leaving.send(post("/ask", body.dump()));
        if (streamed) leaving.sees("data: ");
        break;
      }
      case 1:
        client.send(post("/ask", "{"));
        if (const int status = client.response().status; status != 400 && status != 429) {
          return fmt::format("status {} of no JSON", status);
        }
        break;
      case 2:
        client.send(post("/tell", body.dump()));
        if (const Response told = client.response(); told.body != body.dump()) return told.body;
        break;
      default: {
        client.send(post("/ask", body.dump()));
        const Response answer = client.response();
        if (answer.status == 429) break;
        const std::string text = streamed ? joined(answer.body) : said(answer.body);
        // It says its prompt over and over, as far as it may.
        if (!answer.whole || text.empty() || !(prompt + prompt + prompt).starts_with(text))
          return answer.body;
        ++whole;
      }
    }
  }
  return "";
}

TEST(ServiceConcurrency, ClientsOfEveryKind) {
  constexpr int kClients = 6, kEach = 60;
  ServedService served;
  std::atomic<int> whole{0}, busy{kClients};
  std::vector<std::string> wrong(kClients);
  std::vector<std::thread> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.emplace_back([&, i] {
      wrong[static_cast<std::size_t>(i)] = use(served, static_cast<unsigned>(i), kEach, whole);
      --busy;
    });
  }
  while (busy > 0) {
    EXPECT_LE(served.http.counts().answering, 2 * kClients * kEach);
    EXPECT_LE(served.watched.counts().running, 8);
    EXPECT_FALSE(served.metrics.text().empty() && whole > 0);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  for (std::thread& client : clients) client.join();
  for (const std::string& what : wrong) EXPECT_EQ(what, "");
  EXPECT_GT(whole, kClients * kEach / 8);
  EXPECT_TRUE(comes([&] {
    const auto counts = served.watched.counts();
    return counts.running == 0 && counts.waiting == 0 && served.http.counts().answering == 0;
  }));
}

// The server ends as `serve` ends it, while its clients are in the middle of things.
TEST(ServiceConcurrency, EndsUnderItsClients) {
  for (unsigned round = 0; round < 8; ++round) {
    ServedService served;
    std::atomic<bool> over{false};
    std::vector<std::thread> clients;
    for (unsigned i = 0; i < 4; ++i) {
      clients.emplace_back([&, i] {
        std::atomic<int> whole{0};
        while (!over) {
          // Whatever it says: connections break off.
          try {
            use(served, 10 * round + i, 4, whole);
          } catch (const std::exception&) {
          }
        }
      });
    }
    EXPECT_TRUE(comes([&] { return served.watched.counts().running > 0; }));
    served.watched.drain();
    served.http.drain();
    over = true;
    served.http.wait_idle(0.02);
    served.watched.fail_all("the server is shutting down");
    served.http.wait_idle(1);
    served.http.stop();
    served.service->cancel_all();
    for (std::thread& client : clients) client.join();
  }
}

}  // namespace
}  // namespace nautile::server
