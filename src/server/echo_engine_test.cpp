// echo_engine_test.cpp — what the fake engine promises, since the tests of others stand on it.
#include "server/echo_engine.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <condition_variable>
#include <mutex>

#include "server/server_testing.h"

namespace nautile::server {
namespace {

using engine::Event;
using engine::Finish;

// Everything that one request was told.
struct Told {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Event> events;
  int ended = 0;

  engine::EventSink sink() {
    return [this](const Event& event) {
      const std::lock_guard lock(mutex);
      events.push_back(event);
      if (event.kind == Event::Kind::finished || event.kind == Event::Kind::failed) ++ended;
      changed.notify_all();
    };
  }
  void wait(int choices = 1) {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return ended >= choices; });
  }
  std::string text(int choice = 0) const {
    std::string joined;
    for (const Event& event : events) {
      if (event.choice == choice) joined += event.text;
    }
    return joined;
  }
  std::size_t tokens() const {
    std::size_t sum = 0;
    for (const Event& event : events) sum += event.tokens.size();
    return sum;
  }
  const Event& last() const { return events.back(); }
};

engine::Request request_of(const EchoModel& model, std::string_view text) {
  engine::Request request;
  request.prompt = model.tokenizer.encode(text, EncodeMode::plain);
  return request;
}

// The same events as from a thread of its own, all of them at once.
TEST(EchoEngine, SpeaksOnTheCallersThread) {
  EchoOptions options;
  options.thread = EchoOptions::Thread::callers;
  EchoModel own, callers(options);
  Told expected, told;
  own.engine.submit(request_of(own, "abc"), expected.sink());
  expected.wait();
  const auto admission = callers.engine.submit(request_of(callers, "abc"), told.sink());
  EXPECT_EQ(admission.kind, engine::Admission::Kind::accepted);
  EXPECT_EQ(told.ended, 1);
  EXPECT_EQ(told.text(), expected.text());
  EXPECT_EQ(told.events.size(), expected.events.size());
  callers.engine.cancel(admission.id);
  EXPECT_EQ(callers.engine.counts().finished, 1u);
}

TEST(EchoEngine, RepeatsItsPromptAndCounts) {
  EchoModel model;
  Told told;
  ASSERT_EQ(model.engine.submit(request_of(model, "abc 你好"), told.sink()).kind,
            engine::Admission::Kind::accepted);
  told.wait();
  EXPECT_EQ(told.text(), "abc 你好");
  EXPECT_EQ(told.events.front().kind, Event::Kind::started);
  EXPECT_EQ(told.last().finish, Finish::end);
  const auto tokens = model.tokenizer.encode("abc 你好", EncodeMode::plain).size();
  EXPECT_EQ(told.tokens(), tokens);
  EXPECT_EQ(told.last().usage.prompt_tokens, static_cast<std::int64_t>(tokens));
  EXPECT_EQ(told.last().usage.completion_tokens, static_cast<std::int64_t>(tokens) + 1);
}

TEST(EchoEngine, KeepsStopStringsToItself) {
  EchoModel model(saying("one STOP two"));
  for (const char* stop : {"STOP", " STOP", "S", "two"}) {
    Told told;
    engine::Request request = request_of(model, "x");
    request.stops = {stop};
    model.engine.submit(request, told.sink());
    told.wait();
    EXPECT_EQ(told.text(),
              std::string("one STOP two").substr(0, std::string("one STOP two").find(stop)));
    EXPECT_EQ(told.last().finish, Finish::stop);
    EXPECT_EQ(told.last().stop, stop);
  }
}

TEST(EchoEngine, CutsAtMaxTokensAndGoesOnToMinTokens) {
  EchoModel model(saying("abcabcabc"));
  Told cut;
  engine::Request request = request_of(model, "x");
  request.max_tokens = 2;
  model.engine.submit(request, cut.sink());
  cut.wait();
  EXPECT_EQ(cut.last().finish, Finish::length);
  EXPECT_EQ(cut.last().usage.completion_tokens, 2);
  Told more;
  request.max_tokens = 40;
  request.min_tokens = 12;
  model.engine.submit(request, more.sink());
  more.wait();
  EXPECT_EQ(more.last().finish, Finish::end);
  EXPECT_EQ(more.last().usage.completion_tokens, 13);
}

TEST(EchoEngine, EndsAGrammarItsAnswerDoesNotFit) {
  EchoModel model(saying("no json"));
  Told told;
  engine::Request request = request_of(model, "x");
  request.grammar = std::make_shared<const CompiledGrammar>(
      GrammarPlan::of(
          {GrammarKind::json_schema,
           R"({"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]})"}),
      model.vocabulary);
  model.engine.submit(request, told.sink());
  told.wait();
  EXPECT_TRUE(nlohmann::json::parse(told.text())["a"].is_number_integer()) << told.text();
}

TEST(EchoEngine, ClosesReasoningThatTakesTooLong) {
  EchoModel model(saying("aaaaaaaaaaaaaaaaaaaaaaaa</think>done"));
  Told told;
  engine::Request request = request_of(model, "x");
  request.reasoning.emplace();
  request.reasoning->tokens = 3;
  request.reasoning->close = model.tokenizer.encode("</think>", EncodeMode::parse_added);
  model.engine.submit(request, told.sink());
  told.wait();
  EXPECT_EQ(told.text(), "aaa</think>done");
}

TEST(EchoEngine, CancelsWhatWaitsAndWhatRuns) {
  EchoOptions options;
  options.running = 1;
  options.waiting = 1;
  options.token_seconds = 0.005;
  EchoModel model(options);
  Told runs, waits, refused;
  engine::Request request = request_of(model, std::string(2000, 'x'));
  const auto first = model.engine.submit(request, runs.sink());
  {
    std::unique_lock lock(runs.mutex);
    runs.changed.wait(lock, [&] { return !runs.events.empty(); });
  }
  const auto second = model.engine.submit(request, waits.sink());
  EXPECT_EQ(model.engine.submit(request, refused.sink()).kind, engine::Admission::Kind::queue_full);
  model.engine.cancel(second.id);
  waits.wait();
  EXPECT_EQ(waits.last().finish, Finish::cancelled);
  model.engine.cancel(first.id);
  runs.wait();
  EXPECT_EQ(runs.last().finish, Finish::cancelled);
}

TEST(EchoEngine, TellsPromptLogprobsAndEmbeds) {
  EchoModel model;
  Told told;
  engine::Request request = request_of(model, "abc x");
  request.prompt_logprobs = 2;
  request.generate_nothing = true;
  model.engine.submit(request, told.sink());
  told.wait();
  const auto& prompt = told.events.front().prompt;
  ASSERT_EQ(prompt.size(), request.prompt.size());
  EXPECT_TRUE(std::isnan(prompt[0].logprob));
  EXPECT_EQ(prompt[1].top.size(), 2U);
  EXPECT_EQ(told.last().usage.completion_tokens, 0);
  Told embedded;
  engine::Request embed = request_of(model, "abc");
  embed.task = engine::Task::embed;
  model.engine.submit(embed, embedded.sink());
  embedded.wait();
  EXPECT_EQ(embedded.last().embedding.size(), EchoEngine::kEmbedding);
}

}  // namespace
}  // namespace nautile::server
