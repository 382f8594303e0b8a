// batch_engine_test.cpp — whatever the company, the cut, the cache and the threads: the same bits
// as a Session alone; and nothing leaks.
#include "engine/batch_engine.h"

#include <gtest/gtest.h>

#include <map>
#include <thread>

#include "engine/engine_testing.h"
#include "engine/sequence.h"

namespace nautile::engine {
namespace {

// What the header promises of a choice, by a Session and a Sampler that serve nobody else.
Answer alone(TinyModel& tiny, const Request& request, int choice) {
  Session session(tiny.model, *tiny.backend, {.context = 640, .chunk = 77});
  SamplingParams params = request.sampling;
  params.seed += static_cast<std::uint64_t>(choice);
  Sampler sampler(params, tiny.vocabulary());
  ChoiceScratch scratch;
  Answer answer;
  std::vector<TokenId> said;
  std::span<const float> logits = session.append(request.prompt);
  for (;;) {
    const TokenId token = sampler.sample(logits, request.prompt, said, session.size()).token;
    answer.finish = token == kTinyEnd ? Finish::end : Finish::length;
    if (token == kTinyEnd) break;
    said.push_back(token);
    answer.tokens.push_back(told_token(token, request.top_logprobs, logits, scratch));
    if (static_cast<std::int64_t>(said.size()) == request.max_tokens) break;
    logits = session.append({&token, 1});
  }
  answer.text = tiny.tokenizer.decode(said, SkipSpecial::yes);
  return answer;
}

// Prompts that share beginnings, of one or two users.
std::vector<Request> some_requests(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::vector<TokenId>> beginnings;
  beginnings.reserve(3);
  for (int i = 0; i < 3; ++i) beginnings.push_back(random_prompt(random, 190));
  std::vector<Request> requests(count);
  for (Request& r : requests) {
    const std::vector<TokenId>& beginning = beginnings[random() % beginnings.size()];
    r.prompt.assign(beginning.begin(),
                    beginning.begin() + static_cast<std::ptrdiff_t>(random() % 190));
    const std::vector<TokenId> own = random_prompt(random, 1 + random() % 40);
    r.prompt.insert(r.prompt.end(), own.begin(), own.end());
    r.choices = random() % 4 == 0 ? 3 : 1;
    r.max_tokens = 1 + random() % 40;
    r.top_logprobs = static_cast<int>(random() % 5) - 1;
    r.priority = static_cast<int>(random() % 2);
    r.user = random() % 2 ? "ann" : "bob";
    r.sampling.seed = random();
    r.sampling.temperature = random() % 3 == 0 ? 0.0f : 1.2f;
    r.sampling.top_p = random() % 2 ? 1.0f : 0.9f;
    r.sampling.repetition_penalty = random() % 3 == 0 ? 1.1f : 1.0f;
    r.sampling.frequency_penalty = random() % 3 == 0 ? 0.3f : 0.0f;
  }
  return requests;
}

using Expected = std::vector<std::vector<Answer>>;  // by request, by choice
Expected expected_of(TinyModel& tiny, const std::vector<Request>& requests) {
  Expected expected(requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    for (int c = 0; c < requests[i].choices; ++c)
      expected[i].push_back(alone(tiny, requests[i], c));
  }
  return expected;
}

void expect_same(const Reply& reply, const std::vector<Answer>& expected, const Request& request) {
  ASSERT_EQ(reply.error, "");
  ASSERT_EQ(reply.disorder, "");
  ASSERT_EQ(reply.choices.size(), expected.size());
  for (std::size_t c = 0; c < expected.size(); ++c) {
    const Answer& answer = reply.choices[c];
    ASSERT_TRUE(same_bits(answer.tokens, expected[c].tokens)) << "choice " << c;
    ASSERT_EQ(answer.text, expected[c].text);
    ASSERT_EQ(answer.finish, expected[c].finish);
    const std::size_t end = answer.finish == Finish::end ? 1 : 0;
    ASSERT_EQ(answer.usage.completion_tokens,
              static_cast<std::int64_t>(expected[c].tokens.size() + end));
    ASSERT_EQ(answer.usage.prompt_tokens, static_cast<std::int64_t>(request.prompt.size()));
  }
}

// Requests come a few at a time, some are cancelled; all others say what they say alone.
EngineCounts run_company(TinyModel& tiny, const BatchEngineOptions& options,
                         const std::vector<Request>& requests, const Expected& expected,
                         unsigned seed, int rounds) {
  std::mt19937 random(seed);
  BatchEngine engine(tiny.model, *tiny.backend, tiny.tokenizer, options);
  struct Sent {
    std::size_t which;
    bool cancelled = false;
    Reply reply;
  };
  std::vector<std::unique_ptr<Sent>> sent;
  for (int i = 0; i < rounds; ++i) {
    sent.push_back(std::make_unique<Sent>());
    Sent& one = *sent.back();
    one.which = random() % requests.size();
    one.reply.admission = engine.submit(requests[one.which], one.reply.sink());
    EXPECT_EQ(one.reply.admission.kind, Admission::Kind::accepted);
    if (random() % 8 == 0) {
      Sent& victim = *sent[random() % sent.size()];
      victim.cancelled = true;
      engine.cancel(victim.reply.admission.id);
    }
    for (std::size_t steps = random() % 4; steps-- > 0;) engine.step();
  }
  run_all(engine);
  for (const std::unique_ptr<Sent>& one : sent) {
    if (one->cancelled) continue;
    expect_same(one->reply, expected[one->which], requests[one->which]);
  }
  EXPECT_EQ(engine.counts().pages_used, 0);
  EXPECT_EQ(engine.counts().running, 0);
  EXPECT_EQ(engine.counts().waiting, 0);
  return engine.counts();
}

class EngineInvariance : public testing::TestWithParam<const char*> {};

TEST_P(EngineInvariance, AnyCompanyGivesTheBitsOfOneAlone) {
  TinyModel one(GetParam(), 1), two(GetParam(), 2);
  const std::vector<Request> requests = some_requests(16, 11);
  const Expected expected = expected_of(one, requests);
  // Plenty of everything.
  EngineCounts counts = run_company(one, {.context = 320, .kv_tokens = 16384, .queue = 1000},
                                    requests, expected, 1, 40);
  EXPECT_GT(counts.cached_tokens, 0u);
  EXPECT_EQ(counts.preempted, 0u);
  EXPECT_GT(counts.most_rows, 100u);
  // Few pages, few rows, odd chunks.
  counts = run_company(two,
                       {.context = 320,
                        .kv_tokens = 640,
                        .row_budget = 23,
                        .prefill_beside_decode = 7,
                        .most_running = 6,
                        .queue = 1000},
                       requests, expected, 2, 40);
  EXPECT_GT(counts.cached_tokens, 0u);
  EXPECT_GT(counts.preempted, 0u);
  EXPECT_LE(counts.most_rows, 23u);
}

INSTANTIATE_TEST_SUITE_P(Families, EngineInvariance,
                         testing::Values("deepseek_v3", "deepseek_v2_grouped", "qwen3_moe",
                                         "llama3", "kimi_k2"),
                         [](const auto& p) { return std::string(p.param); });

TEST(EngineInvariance, ChoicesAreRequestsOfTheirOwn) {
  TinyModel tiny("deepseek_v3");
  BatchEngine engine(tiny.model, *tiny.backend, tiny.tokenizer, {.context = 320});
  for (const std::size_t size : {1u, 63u, 64u, 65u, 130u}) {
    Request request = some_requests(1, 5)[0];
    std::mt19937 random(3);
    request.prompt = random_prompt(random, size);
    request.choices = 4;
    request.max_tokens = 70;
    const EngineCounts before = engine.counts();
    const Reply together = run_one(engine, request);
    // The prompt is computed once.
    EXPECT_LE(engine.counts().rows - before.rows, size + 4 * 70);
    for (int c = 0; c < 4; ++c) {
      Request single = request;
      single.choices = 1;
      single.sampling.seed += static_cast<std::uint64_t>(c);
      const Reply reply = run_one(engine, single);
      expect_same(reply, {together.choices[static_cast<std::size_t>(c)]}, request);
    }
  }
}

TEST(EngineInvariance, CacheFormatsAndDiskGiveTheSameBits) {
  TinyModel tiny("deepseek_v3");
  const std::vector<Request> requests = some_requests(6, 21);
  const ScratchFolder folder;
  for (const Format format : {Format::bf16, Format::f32}) {
    const BatchEngineOptions plain{.context = 320, .kv_format = format};
    BatchEngineOptions disk = plain;
    disk.disk = {.folder = folder.path, .bytes = 1 << 28, .fingerprint = "tiny"};
    std::vector<Reply> cold(requests.size());
    std::size_t hits = 0;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      BatchEngine engine(tiny.model, *tiny.backend, tiny.tokenizer, plain);
      cold[i] = run_one(engine, requests[i]);
    }
    // Each request on an engine of its own: all it can know is on disk.
    for (int round = 0; round < 2; ++round) {
      for (std::size_t i = 0; i < requests.size(); ++i) {
        BatchEngine engine(tiny.model, *tiny.backend, tiny.tokenizer, disk);
        const Reply reply = run_one(engine, requests[i]);
        expect_same(reply, cold[i].choices, requests[i]);
        hits += engine.counts().disk_hits;
        if (round == 0) continue;
        const auto whole = static_cast<std::int64_t>((requests[i].prompt.size() - 1) / 64 * 64);
        EXPECT_EQ(reply.prompt_usage.cached_tokens, whole);
        EXPECT_EQ(engine.counts().disk_hits, static_cast<std::uint64_t>(whole / 64));
      }
    }
    EXPECT_GT(hits, 0u);
  }
}

TEST(EngineInvariance, DamagedPagesOnDiskAreComputedAgain) {
  TinyModel tiny("llama3");
  std::mt19937 random(9);
  Request request;
  request.prompt = random_prompt(random, 200);
  request.max_tokens = 5;
  const ScratchFolder folder;
  BatchEngineOptions options{.context = 320};
  options.disk = {.folder = folder.path, .bytes = 1 << 28, .fingerprint = "tiny"};
  std::vector<Answer> first;
  {
    BatchEngine engine(tiny.model, *tiny.backend, tiny.tokenizer, options);
    first = run_one(engine, request).choices;
  }
  int number = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder.path)) {
    if (file.path().extension() != ".page" || ++number != 2) continue;
    std::string content = read_file(file.path().string());
    content[content.size() / 2] ^= 1;
    write_file_atomic(file.path().string(), content);
  }
  ASSERT_EQ(number, 3);
  BatchEngine engine(tiny.model, *tiny.backend, tiny.tokenizer, options);
  const Reply reply = run_one(engine, request);
  expect_same(reply, first, request);
  EXPECT_LT(engine.counts().disk_hits, 3u);
}

// Embeddings and prompt logprobs, whole and in any cut.
TEST(EngineInvariance, PromptRowsDoNotDependOnTheCut) {
  TinyModel tiny("deepseek_v3"), two("deepseek_v3", 2);
  std::mt19937 random(4);
  const std::vector<TokenId> prompt = random_prompt(random, 150);
  Request embed, echo;
  embed.task = Task::embed;
  embed.prompt = echo.prompt = prompt;
  echo.prompt_logprobs = 3;
  echo.generate_nothing = true;

  Session session(tiny.model, *tiny.backend, {.context = 320});
  ChoiceScratch scratch;
  std::vector<TokenLogprob> expected = {{prompt[0], std::nanf(""), {}}};
  session.append_all(prompt, [&](std::int64_t first, Tensor logits) {
    for (std::int64_t i = 0; i < logits.rows(); ++i) {
      const auto next = static_cast<std::size_t>(first + i + 1);
      const std::span<const float> row(logits.row(i), static_cast<std::size_t>(logits.cols()));
      if (next < prompt.size()) expected.push_back(told_token(prompt[next], 3, row, scratch));
    }
  });

  std::vector<float> mean;
  for (const std::int64_t rows : {512, 64, 7, 2}) {
    TinyModel& model = rows == 64 ? two : tiny;
    BatchEngine engine(model.model, *model.backend, model.tokenizer,
                       {.context = 320, .row_budget = rows});
    Request company;
    company.prompt = random_prompt(random, 30);
    company.max_tokens = 40;
    Reply beside, vector, told;
    engine.submit(company, beside.sink());
    engine.submit(embed, vector.sink());
    engine.submit(echo, told.sink());
    run_all(engine);
    ASSERT_EQ(told.choices.size(), 1u);
    EXPECT_EQ(told.choices[0].finish, Finish::length);
    EXPECT_EQ(told.choices[0].usage.completion_tokens, 0);
    EXPECT_TRUE(std::isnan(told.prompt.at(0).logprob));
    told.prompt[0].logprob = expected[0].logprob = 0;
    EXPECT_TRUE(same_bits(told.prompt, expected));
    ASSERT_EQ(vector.choices.size(), 1u);
    EXPECT_EQ(vector.choices[0].embedding.size(),
              static_cast<std::size_t>(tiny.model.config().width));
    if (mean.empty()) mean = vector.choices[0].embedding;
    EXPECT_EQ(vector.choices[0].embedding, mean) << rows;
  }
  // Against the hidden states of the whole prompt at once.
  Arena arena(std::size_t{1} << 28);
  Context ctx{*tiny.backend, arena};
  KvPages pages(tiny.model.config(), Format::bf16, 320);
  std::vector<std::int32_t> held = {pages.take(), pages.take(), pages.take()}, positions(150);
  for (std::size_t i = 0; i < positions.size(); ++i) positions[i] = static_cast<std::int32_t>(i);
  const std::span<const std::int32_t> owner = held;
  const KvView view = pages.view({&owner, 1});
  const std::int32_t starts[] = {0, 150};
  const Tensor hidden =
      tiny.model.final_norm(ctx, tiny.model.hidden(ctx, {prompt, positions, starts, &view}));
  for (std::size_t d = 0; d < mean.size(); ++d) {
    double sum = 0;
    for (std::int64_t i = 0; i < 150; ++i) sum += hidden.row(i)[d];
    EXPECT_EQ(mean[d], static_cast<float>(sum / 150));
  }
}

TEST(BatchEngine, AThousandComeAndGoAndNoPageIsLost) {
  TinyModel tiny("llama3");
  BatchEngine engine(tiny.model, *tiny.backend, tiny.tokenizer,
                     {.context = 320, .kv_tokens = 960, .row_budget = 40, .queue = 2000});
  std::mt19937 random(1);
  std::vector<Request> requests = some_requests(20, 2);
  for (Request& request : requests) request.max_tokens = 1 + request.max_tokens % 6;
  std::vector<std::unique_ptr<Reply>> replies;
  for (int i = 0; i < 1000; ++i) {
    Request request = requests[random() % requests.size()];
    request.prompt.resize(std::min<std::size_t>(request.prompt.size(), 1 + random() % 100));
    replies.push_back(std::make_unique<Reply>());
    replies.back()->admission = engine.submit(std::move(request), replies.back()->sink());
    if (random() % 2) engine.cancel(replies[random() % replies.size()]->admission.id);
    if (random() % 2) engine.step();
  }
  run_all(engine);
  const EngineCounts counts = engine.counts();
  EXPECT_EQ(counts.pages_used, 0);
  EXPECT_EQ(counts.requests, 1000u);
  EXPECT_EQ(counts.finished + counts.cancelled, 1000u);
  EXPECT_GT(counts.cancelled, 100u);
  EXPECT_GT(counts.finished, 100u);
  for (const std::unique_ptr<Reply>& reply : replies) {
    EXPECT_EQ(reply->disorder, "");
    for (const Answer& answer : reply->choices) EXPECT_NE(answer.finish, Finish::none);
  }
}

// Submitting, cancelling and counting from many threads while the engine steps.
TEST(BatchEngineConcurrency, ManyThreadsAskAtOnce) {
  TinyModel tiny("deepseek_v3", 2);
  const std::vector<Request> requests = some_requests(6, 8);
  const Expected expected = expected_of(tiny, requests);
  const ScratchFolder folder;
  BatchEngineOptions options{.context = 320, .kv_tokens = 1280, .queue = 1000};
  options.disk = {.folder = folder.path, .bytes = 1 << 20, .fingerprint = "tiny"};
  constexpr std::size_t kThreads = 4, kEach = 6;
  struct Sent {
    Reply reply;
    std::size_t which = 0;
    bool cancelled = false;
  };
  std::vector<std::vector<Sent>> sent(kThreads);
  BatchEngine engine(tiny.model, *tiny.backend, tiny.tokenizer, options);
  engine.start();
  std::vector<std::thread> askers;
  for (std::size_t t = 0; t < kThreads; ++t) {
    sent[t] = std::vector<Sent>(kEach);
    askers.emplace_back([&, t] {
      std::mt19937 random(static_cast<unsigned>(t));
      for (Sent& one : sent[t]) {
        one.which = random() % requests.size();
        one.reply.admission = engine.submit(requests[one.which], one.reply.sink());
        one.cancelled = random() % 4 == 0;
        std::this_thread::sleep_for(std::chrono::milliseconds(random() % 5));
        if (one.cancelled) engine.cancel(one.reply.admission.id);
        EXPECT_GE(engine.counts().requests, 0u);
      }
    });
  }
  for (std::thread& asker : askers) asker.join();
  while (engine.counts().waiting + engine.counts().running > 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  engine.stop();
  for (std::vector<Sent>& list : sent) {
    for (const Sent& one : list) {
      if (!one.cancelled) expect_same(one.reply, expected[one.which], requests[one.which]);
    }
  }
  EXPECT_EQ(engine.counts().pages_used, 0);
}

}  // namespace
}  // namespace nautile::engine
