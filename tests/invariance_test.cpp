// A row's numbers depend on the row: not on chunks, pages, company, threads or the cache they come
// from.
#include <gtest/gtest.h>
#include <unistd.h>

#include <random>

#include "base/cpu_features.h"
#include "engine/session.h"
#include "tests/oracle.h"

namespace nautile::test {
namespace {

std::vector<std::int32_t> random_tokens(std::size_t n, int vocabulary, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::int32_t> tokens(n);
  for (std::int32_t& t : tokens)
    t = static_cast<std::int32_t>(random() % static_cast<unsigned>(vocabulary));
  return tokens;
}

// Logits of every position of each sequence, computed in rounds of ragged batches over shared
// pages: in each round every unfinished sequence brings 0 to 20 of its next tokens.
std::vector<std::vector<float>> run_ragged(Runner& runner,
                                           const std::vector<std::vector<std::int32_t>>& sequences,
                                           Format format, unsigned seed) {
  std::mt19937 random(seed);
  engine::KvPages pages(runner.model.config(), format, 4096);
  std::vector<std::vector<std::int32_t>> held(sequences.size());
  std::vector<std::size_t> done(sequences.size(), 0);
  std::vector<std::vector<float>> logits(sequences.size());
  for (bool all = false; !all;) {
    std::vector<std::int32_t> tokens, positions, starts = {0};
    std::vector<std::size_t> who;
    all = true;
    for (std::size_t s = 0; s < sequences.size(); ++s) {
      const std::size_t left = sequences[s].size() - done[s];
      if (left == 0) continue;
      all = false;
      const std::size_t count = std::min<std::size_t>(left, random() % 21);
      if (count == 0) continue;
      while (held[s].size() * engine::KvPages::kPageTokens < done[s] + count)
        held[s].push_back(pages.take());
      for (std::size_t i = 0; i < count; ++i) {
        tokens.push_back(sequences[s][done[s]]);
        positions.push_back(static_cast<std::int32_t>(done[s]++));
      }
      starts.push_back(static_cast<std::int32_t>(tokens.size()));
      who.push_back(s);
    }
    if (tokens.empty()) continue;
    std::vector<std::span<const std::int32_t>> owners;
    for (std::size_t s : who) owners.emplace_back(held[s]);
    const KvView view = pages.view(owners);
    Arena::Scope scope(runner.scratch);
    Context ctx{*runner.backend, runner.scratch};
    const Tensor out =
        runner.model.logits(ctx, runner.model.hidden(ctx, {tokens, positions, starts, &view}));
    for (std::size_t i = 0; i < who.size(); ++i) {
      logits[who[i]].insert(logits[who[i]].end(), out.row(starts[i]), out.row(starts[i + 1]));
    }
  }
  return logits;
}

class Invariance : public testing::TestWithParam<std::string> {};

// Ragged batches in random company, chunking, pages, threads 1 to 4: bit-equal to one sequence
// alone, whole and without a cache.
TEST_P(Invariance, RaggedPagedThreadedEqualsAlone) {
  const std::string path = oracle_path(GetParam());
  for (int isa = 0; isa < kIsaCount; ++isa) {
    if (!cpu_features().can(static_cast<Isa>(isa))) continue;
    const CpuOptions base{static_cast<Isa>(isa), 1, {}};
    const ModelOptions options{.context = 256, .mla = MlaForm::absorbed};
    Runner alone(path, base, options);
    std::vector<std::vector<std::int32_t>> sequences;
    std::vector<std::vector<float>> expected;
    for (std::size_t length : {1u, 70u, 33u, 129u}) {
      sequences.push_back(
          random_tokens(length, alone.model.config().vocabulary, static_cast<unsigned>(length)));
      expected.push_back(
          run_fresh(alone, sequences.back(), {0, static_cast<std::int32_t>(length)}));
    }
    for (int threads = 1; threads <= 4; ++threads) {
      CpuOptions cpu = base;
      cpu.threads = threads;
      Runner runner(path, cpu, options);
      ASSERT_EQ(run_ragged(runner, sequences, Format::bf16, static_cast<unsigned>(threads)),
                expected)
          << name(base.isa) << " " << threads << " threads";
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Families, Invariance, testing::ValuesIn(oracle_cases()),
                         [](const auto& p) { return p.param; });

TEST(MlaForms, AgreeWithinRounding) {
  for (const std::string name : {"deepseek_v2_grouped", "deepseek_v3", "kimi_k2"}) {
    const Isa isa = cpu_features().best();
    Runner absorbed(oracle_path(name), {isa, 2, ComputeClass::f32},
                    {.context = 256, .mla = MlaForm::absorbed, .kv_format = Format::f32});
    Runner expanded(oracle_path(name), {isa, 2, ComputeClass::f32},
                    {.context = 256, .mla = MlaForm::expanded, .kv_format = Format::f32});
    const std::vector<std::int32_t> tokens =
        random_tokens(100, absorbed.model.config().vocabulary, 3);
    const Distance d =
        measure(run_fresh(absorbed, tokens, {0, 100}), run_fresh(expanded, tokens, {0, 100}),
                absorbed.model.config().vocabulary);
    EXPECT_LE(d.relative, 2e-5) << name;
    EXPECT_LE(d.kl, 1e-9) << name;
  }
}

TEST(Session, SavedTruncatedAndChunkedGoOnToTheSameBits) {
  const std::string path = oracle_path("deepseek_v3");
  Runner runner(path, {cpu_features().best(), 2, {}}, {.context = 300, .mla = MlaForm::absorbed});
  const std::vector<std::int32_t> tokens = random_tokens(200, runner.model.config().vocabulary, 5);
  const auto prefix = std::span(tokens).first(150);
  for (Format format : {Format::bf16, Format::f32}) {
    const engine::SessionOptions options{.context = 300, .kv_format = format, .chunk = 64};
    engine::Session whole(runner.model, *runner.backend, options);
    const std::span<const float> last = whole.append(tokens);
    const std::vector<float> expected(last.begin(), last.end());

    engine::Session first(runner.model, *runner.backend, options),
        second(runner.model, *runner.backend, options);
    first.append(prefix);
    first.append(random_tokens(20, runner.model.config().vocabulary, 6));
    first.truncate(150);
    const std::string file =
        testing::TempDir() + "nautile_session_test_" + std::to_string(::getpid());
    first.save(file, "deepseek_v3");
    second.load(file, "deepseek_v3");
    for (std::size_t i = 150; i < 199; ++i) second.append({&tokens[i], 1});
    const std::span<const float> resumed = second.append({&tokens[199], 1});
    EXPECT_TRUE(std::equal(resumed.begin(), resumed.end(), expected.begin()));

    EXPECT_THROW(second.load(file, "another model"), Error);
    std::string bytes = read_file(file);
    bytes[bytes.size() / 2] ^= 1;
    write_file_atomic(file, bytes);
    EXPECT_THROW(second.load(file, "deepseek_v3"), Error);
    bytes.resize(bytes.size() / 3);
    write_file_atomic(file, bytes);
    EXPECT_THROW(second.load(file, "deepseek_v3"), Error);
    EXPECT_EQ(second.size(), 200);
  }
  engine::Session small(runner.model, *runner.backend, {.context = 10});
  EXPECT_THROW(small.append(prefix), Error);
}

TEST(Memory, SaysWhatWouldFit) {
  const Checkpoint checkpoint = Checkpoint::open(oracle_path("deepseek_v3"));
  const engine::SessionOptions options{.context = 1000};
  const engine::MemoryNeed need =
      engine::memory_need(checkpoint.config(), checkpoint.weight_bytes(), options);
  EXPECT_EQ(need.kv, 1000 * engine::KvPages::bytes_per_token(checkpoint.config(), Format::bf16));
  EXPECT_NO_THROW(engine::require_fit(need, need.total(), checkpoint.config(), options));
  try {
    engine::require_fit(need, need.total() - 1, checkpoint.config(), options);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::no_memory);
    EXPECT_NE(std::string(error.what()).find("--ctx"), std::string::npos);
  }
}

}  // namespace
}  // namespace nautile::test
