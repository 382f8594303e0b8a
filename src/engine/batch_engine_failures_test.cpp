// batch_engine_failures_test.cpp — numbers that are none, operations that throw, memory that is
// short: who fails and who goes on.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <new>

#include "engine/batch_engine.h"
#include "engine/engine_testing.h"

namespace nautile::engine {
namespace {

// A backend that throws when a batch has a certain token, or more rows than there is memory for.
class FragileBackend : public Backend {
 public:
  explicit FragileBackend(Backend& inner) : inner_(inner) {}
  std::int32_t fatal_token = -1;
  std::int64_t most_rows = 1 << 20;
  int broken = 0;

  void embed(const Weight& table, std::span<const std::int32_t> tokens, Tensor y) override {
    if (std::find(tokens.begin(), tokens.end(), fatal_token) != tokens.end()) {
      ++broken;
      throw std::runtime_error("a fatal token");
    }
    if (y.rows() > most_rows) {
      ++broken;
      throw std::bad_alloc();
    }
    inner_.embed(table, tokens, y);
  }

  std::string describe() const override { return inner_.describe(); }
  int threads() const override { return inner_.threads(); }
  ComputeClass compute_class(Format format) const override { return inner_.compute_class(format); }
  void products(std::span<const Product> list, std::optional<ComputeClass> forced) override {
    inner_.products(list, forced);
  }
  void products_transposed(std::span<const Product> list) override {
    inner_.products_transposed(list);
  }
  void rms_norm(const float* x, std::size_t x_stride, std::int64_t rows, const float* gain,
                std::int64_t width, float eps, float* y, std::size_t y_stride) override {
    inner_.rms_norm(x, x_stride, rows, gain, width, eps, y, y_stride);
  }
  void rope(float* x, std::size_t row_stride, std::size_t head_stride, std::int64_t heads,
            std::span<const std::int32_t> positions, const float* cos, const float* sin,
            std::int64_t half, RopeOrder order) override {
    inner_.rope(x, row_stride, head_stride, heads, positions, cos, sin, half, order);
  }
  void silu_mul(Tensor gate, Tensor up, Tensor y) override { inner_.silu_mul(gate, up, y); }
  void add(Tensor a, Tensor b, Tensor y) override { inner_.add(a, b, y); }
  void store_rows(const float* x, std::size_t x_stride, std::int64_t rows, std::int64_t width,
                  Format format, std::byte* const* out) override {
    inner_.store_rows(x, x_stride, rows, width, format, out);
  }
  void load_rows(const KvRows& rows, std::int64_t count, Format format, Tensor y) override {
    inner_.load_rows(rows, count, format, y);
  }
  void attend(const float* q, std::span<const QuerySpan> spans, const AttendShape& shape,
              float* out) override {
    inner_.attend(q, spans, shape, out);
  }
  void route(Tensor scores, const float* bias, const RouteRule& rule, std::int32_t* chosen,
             float* weights) override {
    inner_.route(scores, bias, rule, chosen, weights);
  }
  void combine(Tensor rows, const std::int32_t* slot, const float* weights, int chosen,
               Tensor out) override {
    inner_.combine(rows, slot, weights, chosen, out);
  }
  void gather(Tensor x, std::span<const std::int32_t> index, Tensor y) override {
    inner_.gather(x, index, y);
  }
  void attend_fresh(const FreshAttention& a, float* out, float* lse) override {
    inner_.attend_fresh(a, out, lse);
  }
  void log_sum_exp(Tensor logits, float* lse) override { inner_.log_sum_exp(logits, lse); }
  GradientBackend& gradients() override { return inner_.gradients(); }

 private:
  Backend& inner_;
};

class BatchEngineFailures : public testing::Test {
 protected:
  TinyModel tiny_{"deepseek_v3"};
};

// What cannot be fails its request and nobody else's.
TEST_F(BatchEngineFailures, OneThatCannotGoOnFailsAlone) {
  // Token 7 is a NaN from the first layer on.
  const Slot& slot = tiny_.model.weights().embedding;
  std::vector<std::byte> table(slot.weight.data, slot.weight.data + slot.weight.bytes());
  std::memset(table.data() + 7 * slot.weight.row_stride(), 0xFF, slot.weight.row_stride());
  const auto engine =
      std::make_unique<BatchEngine>(tiny_.model, *tiny_.backend, tiny_.tokenizer,
                                    BatchEngineOptions{.context = 320, .row_budget = 64});
  Request good = random_request(100, 30, 5);
  std::replace(good.prompt.begin(), good.prompt.end(), 7, 8);
  good.sampling.logit_bias[7] = -std::numeric_limits<float>::infinity();
  const std::vector<Answer> expected = run_one(*engine, good).choices;
  tiny_.model.weights().embedding.weight.data = table.data();

  Request nan = random_request(50, 5), outside = random_request(50, 5),
          banned = random_request(50, 5), empty = random_request(0, 5),
          embed = random_request(50, 5), echo = random_request(50, 5), stop = random_request(5, 5);
  for (Request* r : {&nan, &embed, &echo}) r->prompt[20] = 7;
  embed.task = Task::embed;
  echo.prompt_logprobs = 2;
  outside.prompt[3] = 160;
  for (TokenId token = 0; token < 160; ++token)
    banned.sampling.logit_bias[token] = -std::numeric_limits<float>::infinity();
  stop.stops = {""};
  Request bad_top = random_request(5, 5);
  bad_top.sampling.top_p = 2;

  std::vector<std::unique_ptr<Reply>> bad;
  Reply company;
  engine->submit(good, company.sink());
  for (const Request& r : {nan, outside, banned, empty, embed, echo, stop, bad_top}) {
    bad.push_back(std::make_unique<Reply>());
    engine->submit(r, bad.back()->sink());
    engine->step();
  }
  run_all(*engine);
  for (const std::unique_ptr<Reply>& reply : bad) EXPECT_NE(reply->error, "");
  EXPECT_NE(bad[0]->error.find("nan"), std::string::npos) << bad[0]->error;
  EXPECT_NE(bad[1]->error.find("token 3 of the prompt is 160"), std::string::npos);
  EXPECT_EQ(engine->counts().failed, bad.size());
  ASSERT_EQ(company.error, "");
  EXPECT_TRUE(same_bits(company.choices.at(0).tokens, expected.at(0).tokens));
  EXPECT_EQ(engine->counts().pages_used, 0);
}

TEST_F(BatchEngineFailures, WhatBreaksTheBatchFailsOnlyItself) {
  FragileBackend fragile(*tiny_.backend);
  BatchEngine engine(tiny_.model, fragile, tiny_.tokenizer, {.context = 320});
  Request good = random_request(100, 30, 5), fatal = random_request(40, 5, 6);
  std::replace(good.prompt.begin(), good.prompt.end(), 7, 8);
  good.sampling.logit_bias[7] = -std::numeric_limits<float>::infinity();
  good.choices = 2;
  const std::vector<Answer> expected = run_one(engine, good).choices;
  fragile.fatal_token = 7;
  fatal.prompt[30] = 7;
  Reply company, broken;
  engine.submit(good, company.sink());
  for (int i = 0; i < 5; ++i) engine.step();
  engine.submit(fatal, broken.sink());
  run_all(engine);
  EXPECT_EQ(broken.error, "a fatal token");
  EXPECT_EQ(fragile.broken, 2);  // in company and alone
  ASSERT_EQ(company.error, "");
  for (std::size_t c = 0; c < 2; ++c)
    EXPECT_TRUE(same_bits(company.choices.at(c).tokens, expected.at(c).tokens));
  EXPECT_EQ(engine.counts().pages_used, 0);
}

TEST_F(BatchEngineFailures, WhereMemoryIsShortTheJuniorWaits) {
  FragileBackend fragile(*tiny_.backend);
  BatchEngine engine(tiny_.model, fragile, tiny_.tokenizer, {.context = 320, .row_budget = 60});
  std::vector<std::unique_ptr<Reply>> cold, replies;
  for (unsigned i = 0; i < 6; ++i) {
    cold.push_back(std::make_unique<Reply>(run_one(engine, random_request(3, 20, i))));
  }
  fragile.most_rows = 3;
  for (unsigned i = 0; i < 6; ++i) {
    replies.push_back(std::make_unique<Reply>());
    engine.submit(random_request(3, 20, i), replies.back()->sink());
  }
  run_all(engine);
  EXPECT_GT(fragile.broken, 0);
  EXPECT_GT(engine.counts().preempted, 0u);
  for (std::size_t i = 0; i < replies.size(); ++i) {
    ASSERT_EQ(replies[i]->error, "");
    EXPECT_TRUE(same_bits(replies[i]->choices.at(0).tokens, cold[i]->choices.at(0).tokens));
  }
  // Nobody else gives way to one alone that is too large.
  const Reply large = run_one(engine, random_request(30, 2));
  EXPECT_NE(large.error, "");
  EXPECT_EQ(engine.counts().pages_used, 0);
}

}  // namespace
}  // namespace nautile::engine
