// WatchedEngine over the engine that echoes: what it measures, and how it ends all.
#include "server/watched_engine.h"

#include <gtest/gtest.h>

#include "server/http_testing.h"
#include "server/ops_endpoints.h"
#include "server/server_testing.h"

namespace nautile::server {
namespace {

using engine::Event;
using engine::Finish;

engine::Request request_of(const EchoModel& model, const std::string& text) {
  engine::Request request;
  request.prompt = model.tokenizer.encode(text, EncodeMode::plain);
  request.max_tokens = 8;
  return request;
}

// Events of one request, as they come.
struct Events {
  engine::EventSink sink() {
    return [this](const Event& event) {
      const std::lock_guard lock(mutex);
      all.push_back(event);
    };
  }
  bool over() {
    const std::lock_guard lock(mutex);
    return !all.empty() &&
           (all.back().kind == Event::Kind::finished || all.back().kind == Event::Kind::failed);
  }
  std::mutex mutex;
  std::vector<Event> all;
};

TEST(WatchedEngine, MeasuresAndPassesOn) {
  EchoModel model;
  Metrics metrics;
  WatchedEngine watched(model.engine, metrics, "echo", {});
  Events events;
  EXPECT_EQ(watched.submit(request_of(model, "abcdef"), events.sink()).kind,
            engine::Admission::Kind::accepted);
  ASSERT_TRUE(comes([&] { return events.over(); }));
  EXPECT_EQ(events.all.back().kind, Event::Kind::finished);
  const std::string text = metrics.text();
  for (const char* line : {"nautile_time_to_first_token_seconds_count{model=\"echo\"} 1\n",
                           "nautile_queue_seconds_count{model=\"echo\"} 1\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << text;
  }
  EXPECT_NE(text.find("nautile_inter_token_seconds_count"), std::string::npos);
  std::string counts;
  append_engine_metrics(counts, {{"echo", watched.counts()}});
  EXPECT_NE(counts.find("nautile_engine_requests_total{model=\"echo\"} 1\n"), std::string::npos)
      << counts;
}

TEST(WatchedEngine, EndIdsOfTheCheckpointEndAnAnswer) {
  EchoModel model;
  Metrics metrics;
  const std::vector<TokenId> prompt = request_of(model, "abc").prompt;
  WatchedEngine watched(model.engine, metrics, "echo", {prompt.back()});
  const auto finish_of = [&](engine::Request request) {
    Events events;
    watched.submit(std::move(request), events.sink());
    EXPECT_TRUE(comes([&] { return events.over(); }));
    return events.all.back().finish;
  };
  EXPECT_EQ(finish_of(request_of(model, "abc")), Finish::end);
  engine::Request going_on = request_of(model, "abc");
  going_on.end_token = engine::EndToken::ignored;
  EXPECT_NE(finish_of(going_on), Finish::stop);
  // The request's own ids stop it; which of them did cannot be told from the engine's.
  engine::Request own = request_of(model, "abc");
  own.stop_ids = {prompt.back()};
  EXPECT_EQ(finish_of(own), Finish::stop);
}

TEST(WatchedEngine, FailsAllAndTakesNoMore) {
  EchoOptions options;
  options.token_seconds = 0.02;
  EchoModel model(options);
  Metrics metrics;
  WatchedEngine watched(model.engine, metrics, "echo", {});
  constexpr std::size_t kRequests = 20;
  std::vector<Events> events(kRequests);
  for (Events& one : events) {
    engine::Request request = request_of(model, "a b c d e f g h i j");
    request.max_tokens = 10'000;
    request.end_token = engine::EndToken::ignored;
    watched.submit(std::move(request), one.sink());
  }
  ASSERT_TRUE(comes([&] { return watched.counts().running > 0; }));
  watched.fail_all("the server is shutting down");
  for (Events& one : events) {
    ASSERT_TRUE(one.over());
    EXPECT_EQ(one.all.back().kind, Event::Kind::failed);
    EXPECT_EQ(one.all.back().error, "the server is shutting down");
  }
  EXPECT_TRUE(comes([&] {
    const auto counts = watched.counts();
    return counts.running == 0 && counts.waiting == 0;
  }));
  // Nothing came after the end.
  for (Events& one : events) EXPECT_EQ(one.all.back().kind, Event::Kind::failed);
  Events late;
  EXPECT_EQ(watched.submit(request_of(model, "x"), late.sink()).kind,
            engine::Admission::Kind::draining);
}

}  // namespace
}  // namespace nautile::server
