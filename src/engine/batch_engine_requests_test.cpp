// batch_engine_requests_test.cpp — what a request may ask for, and what happens when it cannot be.
#include <gtest/gtest.h>

#include "engine/batch_engine.h"
#include "engine/engine_testing.h"
#include "text/grammar.h"

namespace nautile::engine {
namespace {

class BatchEngineRequests : public testing::Test {
 protected:
  TinyModel tiny_{"deepseek_v3"};

  std::unique_ptr<BatchEngine> engine_of(const BatchEngineOptions& options = {.context = 320}) {
    return std::make_unique<BatchEngine>(tiny_.model, *tiny_.backend, tiny_.tokenizer, options);
  }
  // So that a token comes next for certain.
  static void force(Request& r, TokenId token) { r.sampling.logit_bias[token] = 1000; }
};

TEST_F(BatchEngineRequests, EndTokensEndOrAreIgnored) {
  const auto engine = engine_of();
  Request r = random_request(20, 10);
  force(r, kTinyEnd);
  Answer answer = run_one(*engine, r).choices.at(0);
  EXPECT_EQ(answer.finish, Finish::end);
  EXPECT_EQ(answer.usage.completion_tokens, 1);
  EXPECT_TRUE(answer.tokens.empty());
  r.end_token = EndToken::ignored;
  answer = run_one(*engine, r).choices.at(0);
  EXPECT_EQ(answer.finish, Finish::length);
  EXPECT_EQ(answer.tokens.size(), 10u);
  EXPECT_EQ(answer.text, "");
  r.special = Special::shown;
  answer = run_one(*engine, r).choices.at(0);
  EXPECT_EQ(answer.text.substr(0, 8), "</s></s>");
}

TEST_F(BatchEngineRequests, MinTokensHoldsBackEndsAndStops) {
  const auto engine = engine_of();
  Request r = random_request(20, 30);
  force(r, kTinyEnd);
  r.min_tokens = 7;
  Answer answer = run_one(*engine, r).choices.at(0);
  EXPECT_EQ(answer.finish, Finish::end);
  EXPECT_EQ(answer.usage.completion_tokens, 8);
  EXPECT_EQ(answer.tokens.size(), 7u);

  r = random_request(20, 30);
  force(r, 'a' - ' ');
  r.stops = {"a"};
  r.min_tokens = 3;
  answer = run_one(*engine, r).choices.at(0);
  EXPECT_EQ(answer.finish, Finish::stop);
  EXPECT_EQ(answer.stop, "a");
  EXPECT_EQ(answer.text, "aa");

  r = random_request(20, 30);
  force(r, kTinyTool);
  r.stop_ids = {kTinyTool};
  r.min_tokens = 2;
  answer = run_one(*engine, r).choices.at(0);
  EXPECT_EQ(answer.finish, Finish::stop);
  EXPECT_EQ(answer.usage.completion_tokens, 3);
}

// Tokens are told with the text that they begin, and not at all if a stop string took them whole.
TEST_F(BatchEngineRequests, TokensAreToldWithTheirText) {
  const auto engine = engine_of();
  Request r = random_request(20, 12);
  force(r, 'x' - ' ');
  r.stops = {"xxxxx"};
  Answer answer = run_one(*engine, r).choices.at(0);
  EXPECT_EQ(answer.finish, Finish::stop);
  EXPECT_EQ(answer.text, "");
  EXPECT_TRUE(answer.tokens.empty());
  EXPECT_EQ(answer.usage.completion_tokens, 5);

  r.stops = {"yxxx"};
  answer = run_one(*engine, r).choices.at(0);
  EXPECT_EQ(answer.text, "xxxxxxxxxxxx");
  EXPECT_EQ(answer.tokens.size(), 12u);
  EXPECT_EQ(answer.finish, Finish::length);
}

TEST_F(BatchEngineRequests, TheContextEndsWhatNothingElseEnds) {
  const auto engine = engine_of({.context = 100, .kv_tokens = 128});
  EXPECT_EQ(engine->context(), 100);
  Request r = random_request(90, 0);
  r.end_token = EndToken::ignored;
  const Answer answer = run_one(*engine, r).choices.at(0);
  EXPECT_EQ(answer.finish, Finish::context);
  EXPECT_EQ(answer.usage.completion_tokens, 10);

  EXPECT_EQ(run_one(*engine, random_request(99, 5)).choices.at(0).finish, Finish::context);
  const Reply refused = run_one(*engine, random_request(100, 5));
  EXPECT_EQ(refused.admission.kind, Admission::Kind::too_long);
  EXPECT_EQ(refused.admission.room, 100);
  Request embed = random_request(100, 0);
  embed.task = Task::embed;
  EXPECT_EQ(run_one(*engine, embed).choices.at(0).finish, Finish::end);
}

TEST_F(BatchEngineRequests, ReasoningIsClosedWhenItsShareIsUsed) {
  const auto engine = engine_of();
  Request r = random_request(20, 20);
  r.end_token = EndToken::ignored;
  r.reasoning = ReasoningBudget{5, {10, 11, 10, 12}};
  const std::vector<TokenId> free = run_one(*engine, random_request(20, 20)).choices.at(0).ids();
  std::vector<TokenId> ids = run_one(*engine, r).choices.at(0).ids();
  ASSERT_EQ(ids.size(), 20u);
  EXPECT_EQ(std::vector<TokenId>(ids.begin() + 5, ids.begin() + 9), r.reasoning->close);
  EXPECT_TRUE(std::equal(ids.begin(), ids.begin() + 5, free.begin()));
  // A part that was said already is not said again; what was closed stays so.
  r.reasoning = ReasoningBudget{5, {ids[3], ids[4], 12}};
  ids = run_one(*engine, r).choices.at(0).ids();
  EXPECT_EQ(ids[5], 12);
  EXPECT_NE(ids[6], ids[3]);
  r.reasoning = ReasoningBudget{5, {ids[2], ids[3]}};
  EXPECT_EQ(run_one(*engine, r).choices.at(0).ids()[5], free[5]);
  r.reasoning = ReasoningBudget{5, {}};
  EXPECT_NE(run_one(*engine, r).error, "");
}

TEST_F(BatchEngineRequests, GrammarsHoldWithTightBudgets) {
  const auto engine = engine_of({.context = 320, .row_budget = 16});
  const GrammarVocabulary vocabulary(tiny_.tokenizer);
  const auto grammar = std::make_shared<const CompiledGrammar>(
      GrammarPlan::of({GrammarKind::json_schema,
                       R"({"type":"object","properties":{"a":{"type":"array","items":{"type":)"
                       R"("integer"}},"b":{"type":"string"}},"required":["a","b"],)"
                       R"("additionalProperties":false})",
                       JsonSpace::compact}),
      vocabulary);
  std::vector<std::unique_ptr<Reply>> replies;
  for (unsigned seed = 0; seed < 40; ++seed) {
    Request r = random_request(10 + seed, grammar->least_tokens() + seed % 5, seed);
    r.grammar = grammar;
    r.sampling.temperature = 1.5f;
    r.min_tokens = seed % 3 == 0 ? 3 : 0;
    replies.push_back(std::make_unique<Reply>());
    engine->submit(r, replies.back()->sink());
  }
  run_all(*engine);
  for (const std::unique_ptr<Reply>& reply : replies) {
    ASSERT_EQ(reply->error, "");
    const Answer& answer = reply->choices.at(0);
    EXPECT_EQ(answer.finish, Finish::end);
    const nlohmann::json value = nlohmann::json::parse(answer.text);
    EXPECT_TRUE(value.at("a").is_array() && value.at("b").is_string() && value.size() == 2);
  }
  Request r = random_request(10, grammar->least_tokens() - 1);
  r.grammar = grammar;
  EXPECT_NE(run_one(*engine, r).error, "");
}

// Found out only while the answer is written; the fault is the request's, not the engine's.
TEST_F(BatchEngineRequests, AGrammarTooAmbiguousToFollowIsUnsupported) {
  const auto engine = engine_of();
  const GrammarVocabulary vocabulary(tiny_.tokenizer);
  Request r = random_request(10, 200);
  r.grammar = std::make_shared<const CompiledGrammar>(
      GrammarPlan::of(
          {GrammarKind::regex,
           R"(((((\w|a){30}|(a|[ab]|[a-z]){1,1000}){1,1000}|(\p{L}|aa){2,1000}){1,1000}){2,1000})",
           JsonSpace::compact}),
      vocabulary);
  force(r, 'a' - ' ');
  const Reply reply = run_one(*engine, r);
  EXPECT_NE(reply.error.find("ambiguous"), std::string::npos) << reply.error;
  EXPECT_EQ(reply.error_kind, ErrorKind::unsupported);
}

TEST_F(BatchEngineRequests, RefusesWhenTheQueueIsFullAndWhenItDrains) {
  const auto engine = engine_of({.context = 320, .most_running = 2, .queue = 3});
  std::vector<std::unique_ptr<Reply>> replies;
  const auto submit = [&](int choices) {
    Request r = random_request(10, 4);
    r.choices = choices;
    r.end_token = EndToken::ignored;
    replies.push_back(std::make_unique<Reply>());
    return replies.back()->admission = engine->submit(r, replies.back()->sink());
  };
  for (int i = 0; i < 4; ++i) EXPECT_EQ(submit(1).kind, Admission::Kind::accepted);
  EXPECT_EQ(engine->foresee(0).kind, Admission::Kind::accepted);
  EXPECT_EQ(engine->foresee(1).kind, Admission::Kind::queue_full);
  const Admission full = submit(2);
  EXPECT_EQ(full.kind, Admission::Kind::queue_full);
  EXPECT_GE(full.retry_after, 1);
  EXPECT_EQ(submit(1).kind, Admission::Kind::accepted);
  EXPECT_EQ(submit(1).kind, Admission::Kind::queue_full);
  EXPECT_EQ(engine->foresee(0).kind, Admission::Kind::queue_full);
  EXPECT_GE(engine->foresee(0).retry_after, 1);
  EXPECT_EQ(engine->counts().waiting, 5);
  EXPECT_EQ(engine->counts().refused, 2u);
  engine->step();
  EXPECT_EQ(engine->counts().running, 2);
  EXPECT_EQ(engine->counts().waiting, 3);
  run_all(*engine);
  EXPECT_EQ(submit(1).kind, Admission::Kind::accepted);
  engine->drain();
  EXPECT_EQ(submit(1).kind, Admission::Kind::draining);
  EXPECT_EQ(engine->foresee(0).kind, Admission::Kind::draining);
  run_all(*engine);
  EXPECT_EQ(engine->counts().finished, 6u);
  // More choices than there is room for are taken when nobody else is there.
  const auto alone = engine_of({.context = 320, .most_running = 2, .queue = 0});
  Request many = random_request(10, 4);
  many.choices = 7;
  EXPECT_EQ(run_one(*alone, many).choices.size(), 7u);
}

TEST_F(BatchEngineRequests, CancelTakesEffectBeforeTheNextStep) {
  const auto engine = engine_of();
  Reply waiting, running, other;
  Request r = random_request(100, 50);
  r.end_token = EndToken::ignored;
  r.choices = 2;
  const RequestId first = engine->submit(r, running.sink()).id;
  for (int i = 0; i < 5; ++i) engine->step();
  EXPECT_EQ(engine->counts().running, 2);
  EXPECT_GT(engine->counts().pages_used, 0);
  const std::uint64_t steps = engine->counts().steps;
  engine->cancel(first);
  engine->cancel(first + 100);  // nobody
  const RequestId second = engine->submit(r, waiting.sink()).id;
  engine->cancel(second);
  EXPECT_FALSE(engine->step());
  EXPECT_EQ(engine->counts().steps, steps);
  EXPECT_EQ(engine->counts().pages_used, 0);
  for (const Reply* reply : {&running, &waiting}) {
    ASSERT_EQ(reply->choices.size(), 2u);
    for (const Answer& answer : reply->choices) EXPECT_EQ(answer.finish, Finish::cancelled);
  }
  EXPECT_EQ(waiting.started, 0);
  EXPECT_EQ(engine->counts().cancelled, 2u);
  engine->cancel(first);
  EXPECT_FALSE(engine->step());
}

TEST_F(BatchEngineRequests, WhatIsLeftAtTheEndIsCancelled) {
  Reply running, unseen;
  {
    const auto engine = engine_of();
    engine->submit(random_request(100, 50), running.sink());
    engine->step();
    engine->submit(random_request(100, 50), unseen.sink());
  }
  EXPECT_EQ(running.choices.at(0).finish, Finish::cancelled);
  EXPECT_EQ(unseen.choices.at(0).finish, Finish::cancelled);
}

TEST_F(BatchEngineRequests, HigherPriorityTakesTheRoomOfLower) {
  const auto engine = engine_of({.context = 320, .kv_tokens = 320, .most_running = 4});
  Request low = random_request(190, 60, 1), high = random_request(190, 5, 2);
  low.end_token = high.end_token = EndToken::ignored;
  high.priority = 1;
  Reply first, second;
  engine->submit(low, first.sink());
  for (int i = 0; i < 10; ++i) engine->step();
  engine->submit(high, second.sink());
  while (second.choices.empty() || second.choices[0].finish == Finish::none) {
    ASSERT_TRUE(engine->step());
    ASSERT_TRUE(first.choices.empty() || first.choices[0].finish == Finish::none);
  }
  EXPECT_EQ(engine->counts().preempted, 1u);
  run_all(*engine);
  EXPECT_EQ(first.choices[0].finish, Finish::length);
  EXPECT_EQ(first.choices[0].usage.completion_tokens, 60);
}

// Many of one user do not keep another waiting.
TEST_F(BatchEngineRequests, UsersShare) {
  const auto engine = engine_of({.context = 320, .most_running = 1});
  std::vector<std::unique_ptr<Reply>> many;
  for (unsigned i = 0; i < 10; ++i) {
    Request r = random_request(40, 4, i);
    r.user = "many";
    many.push_back(std::make_unique<Reply>());
    engine->submit(r, many.back()->sink());
  }
  engine->step();
  Request r = random_request(40, 4, 99);
  r.user = "few";
  Reply few;
  engine->submit(r, few.sink());
  while (!few.started) ASSERT_TRUE(engine->step());
  int begun = 0;
  for (const std::unique_ptr<Reply>& reply : many) begun += reply->started;
  EXPECT_LE(begun, 2);
  run_all(*engine);
}

// Several that need one unknown beginning at the same time: it is computed once.
TEST_F(BatchEngineRequests, ASharedBeginningIsComputedOnce) {
  const auto engine = engine_of({.context = 320, .row_budget = 512});
  const Request r = random_request(200, 1);
  std::vector<std::unique_ptr<Reply>> replies;
  for (int i = 0; i < 6; ++i) {
    replies.push_back(std::make_unique<Reply>());
    engine->submit(r, replies.back()->sink());
  }
  run_all(*engine);
  // One token is computed by each: its row says what comes next.
  EXPECT_EQ(engine->counts().rows, 200u + 5);
  EXPECT_EQ(engine->counts().cached_tokens, 5u * 199);
  Request other = r;
  other.user = "somebody else";
  EXPECT_EQ(run_one(*engine, other).prompt_usage.cached_tokens, 0);
}

// A beginning that ends inside a page is taken over as far as it goes, from whole pages and from
// the last ones of answers, and changes nothing of what is said.
TEST_F(BatchEngineRequests, ABeginningIsTakenOverToTheToken) {
  const auto engine = engine_of({.context = 320});
  const auto same_as_cold = [&](const Request& request, std::int64_t cached) {
    Reply warm = run_one(*engine, request);
    EXPECT_EQ(warm.prompt_usage.cached_tokens, cached);
    const auto empty = engine_of({.context = 320});
    const Reply cold = run_one(*empty, request);
    const auto& a = warm.choices.at(0).tokens;
    const auto& b = cold.choices.at(0).tokens;
    EXPECT_TRUE(std::equal(
        a.begin(), a.end(), b.begin(), b.end(),
        [](const auto& x, const auto& y) { return x.token == y.token && x.logprob == y.logprob; }));
    return warm;
  };
  Request first = random_request(200, 20, 1);
  first.end_token = EndToken::ignored;
  first.top_logprobs = 0;
  const Reply said = same_as_cold(first, 0);
  // 150 of 200: two whole pages and 22 rows of the third.
  Request second = random_request(200, 20, 2);
  second.top_logprobs = 0;
  std::copy_n(first.prompt.begin(), 150, second.prompt.begin());
  same_as_cold(second, 150);
  // A conversation goes on: 192 rows in whole pages, and those of the page that was not full. The
  // last token said has no row yet.
  Request third = first;
  const std::vector<TokenId> answer = said.choices.at(0).ids();
  third.prompt.insert(third.prompt.end(), answer.begin(), answer.end());
  third.prompt.push_back(1);
  same_as_cold(third, 219);
}

TEST_F(BatchEngineRequests, OptionsThatCannotBeAreNamed) {
  const auto error = [&](const BatchEngineOptions& options) {
    return error_of([&] { engine_of(options); });
  };
  EXPECT_NE(error({.context = 641}).find("context is 641"), std::string::npos);
  EXPECT_NE(error({.context = 320, .kv_tokens = 3}).find("kv_tokens is 3"), std::string::npos);
  EXPECT_NE(error({.context = 320, .row_budget = 1}).find("row_budget"), std::string::npos);
  tiny_.model.options().mla = MlaForm::by_cost;
  EXPECT_NE(error({.context = 320}).find("absorbed"), std::string::npos);
}

TEST_F(BatchEngineRequests, MemoryIsFittedOrRefused) {
  const ModelConfig& config = tiny_.model.config();
  const BatchEngineOptions options{.context = 320, .kv_tokens = 100000};
  const MemoryNeed need = memory_need(config, 1000, options);
  EXPECT_EQ(need.kv, 100000 * KvPages::bytes_per_token(config, Format::bf16));
  EXPECT_EQ(fit_memory(config, 1000, options, need.total()).kv_tokens, 100000);
  const std::uint64_t half = need.weights + need.scratch + need.kv / 2;
  EXPECT_EQ(fit_memory(config, 1000, options, half).kv_tokens, 50000);
  EXPECT_THROW(fit_memory(config, 1000, options, need.weights + need.scratch + 10), Error);
}

}  // namespace
}  // namespace nautile::engine
