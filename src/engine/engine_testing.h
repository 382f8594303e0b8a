// engine_testing.h — tiny models with a tokenizer, requests by the dozen, and what became of them.
#pragma once

#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/cpu_features.h"
#include "base/error.h"
#include "engine/batch_engine.h"
#include "engine/session.h"
#include "model/loader.h"
#include "text/tokenizer_testing.h"

namespace nautile::engine {

// 160 ids as the tiny checkpoints have rows: printable ASCII and line end, the bytes of "é" and "€"
// by themselves, a few merges, "</s>" (the end) and "<tool>"; some ids name nothing.
inline constexpr TokenId kTinyEnd = 158, kTinyTool = 159;
inline Tokenizer tiny_tokenizer() {
  Json vocab = Json::object(), merges = Json::array(), added = Json::array();
  TokenId next = 0;
  const auto add = [&](const std::string& bytes) { vocab[bytes_to_alphabet(bytes)] = next++; };
  for (char c = ' '; c <= '~'; ++c) add(std::string(1, c));
  for (const char* byte : {"\n", "\xC3", "\xA9", "\xE2", "\x82", "\xAC"}) add(byte);
  for (const auto& [left, right] : {std::pair{"a", "b"}, {"c", "d"}, {"ab", "cd"}, {"1", "2"}}) {
    vocab[std::string(left) + right] = next++;
    merges.push_back({left, right});
  }
  for (const auto& [id, content] : {std::pair{kTinyEnd, "</s>"}, {kTinyTool, "<tool>"}}) {
    added.push_back({{"id", id},
                     {"content", content},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", id == kTinyEnd}});
  }
  const Json pre = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}};
  return load({{"version", "1.0"},
               {"added_tokens", added},
               {"normalizer", nullptr},
               {"pre_tokenizer", pre},
               {"post_processor", nullptr},
               {"decoder", {{"type", "ByteLevel"}}},
               {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", merges}}}},
              {{"eos_token", "</s>"}});
}

// A committed tiny checkpoint ready to run.
struct TinyModel {
  explicit TinyModel(const std::string& name, int threads = 1)
      : checkpoint(Checkpoint::open("tests/data/oracle/" + name)),
        backend(make_cpu_backend({cpu_features().best(), threads, {}})),
        model(checkpoint.config(), checkpoint.weights(),
              {.context = 640, .mla = MlaForm::absorbed}),
        tokenizer(tiny_tokenizer()) {}

  std::int32_t vocabulary() const { return model.config().vocabulary; }

  Checkpoint checkpoint;
  std::unique_ptr<Backend> backend;
  Model model;
  Tokenizer tokenizer;
};

// All that was said of one choice.
struct Answer {
  std::string text, stop;
  std::vector<TokenLogprob> tokens;
  std::vector<float> embedding;
  Finish finish = Finish::none;
  Usage usage;
  int events = 0;

  std::vector<TokenId> ids() const {
    std::vector<TokenId> ids;
    ids.reserve(tokens.size());
    for (const TokenLogprob& token : tokens) ids.push_back(token.token);
    return ids;
  }
};

// And of one request. Has its sink; stays where it is while that lives.
struct Reply {
  std::vector<Answer> choices;
  std::vector<TokenLogprob> prompt;
  Usage prompt_usage;
  std::string error, disorder;  // disorder: which promise about events was broken
  ErrorKind error_kind = ErrorKind::failure;
  int started = 0;
  bool ended = false;
  Admission admission;

  EventSink sink() {
    return [this](const Event& event) { take(event); };
  }

 private:
  void take(const Event& event) {
    if (ended) disorder = "an event after the end";
    if (event.kind == Event::Kind::failed) {
      error = event.error;
      error_kind = event.error_kind;
      ended = true;
      return;
    }
    if (event.kind == Event::Kind::started) {
      ++started;
      prompt = event.prompt;
      prompt_usage = event.usage;
      return;
    }
    const auto at = static_cast<std::size_t>(event.choice);
    if (choices.size() <= at) choices.resize(at + 1);
    Answer& answer = choices[at];
    if (answer.finish != Finish::none) disorder = "an event after a choice's end";
    if (started != 1 && event.finish != Finish::cancelled) disorder = "an answer before `started`";
    ++answer.events;
    answer.text += event.text;
    answer.tokens.insert(answer.tokens.end(), event.tokens.begin(), event.tokens.end());
    if (event.kind != Event::Kind::finished) return;
    answer.finish = event.finish;
    answer.stop = event.stop;
    answer.usage = event.usage;
    answer.embedding = event.embedding;
  }
};

inline bool same_bits(const std::vector<TokenLogprob>& a, const std::vector<TokenLogprob>& b) {
  const auto bits = [](float x) { return std::bit_cast<std::uint32_t>(x); };
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i].token != b[i].token || bits(a[i].logprob) != bits(b[i].logprob) ||
        a[i].top.size() != b[i].top.size())
      return false;
    for (std::size_t k = 0; k < a[i].top.size(); ++k) {
      if (a[i].top[k].token != b[i].top[k].token ||
          bits(a[i].top[k].logprob) != bits(b[i].top[k].logprob))
        return false;
    }
  }
  return true;
}

inline void run_all(BatchEngine& engine) {
  while (engine.step()) {
  }
}

// One request on an engine that steps by hand, to its end.
inline Reply run_one(BatchEngine& engine, Request request) {
  Reply reply;
  reply.admission = engine.submit(std::move(request), reply.sink());
  run_all(engine);
  return reply;
}

inline std::vector<TokenId> random_prompt(std::mt19937& random, std::size_t size) {
  std::vector<TokenId> tokens(size);
  for (TokenId& token : tokens) token = static_cast<TokenId>(random() % 158);
  return tokens;
}

inline Request random_request(std::size_t prompt, std::int64_t max_tokens, unsigned seed = 1) {
  std::mt19937 random(seed);
  Request request;
  request.prompt = random_prompt(random, prompt);
  request.max_tokens = max_tokens;
  request.sampling.seed = seed;
  return request;
}

// A folder that is gone afterwards.
struct ScratchFolder {
  ScratchFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "nautile_engine_XXXXXX").string();
    if (!::mkdtemp(name.data())) fail(ErrorKind::failure, "no folder {}", name);
    path = name;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  std::string path;
};

}  // namespace nautile::engine
