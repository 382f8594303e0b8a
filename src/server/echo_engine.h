// echo_engine.h — EchoEngine: an engine without a model, for tests of all that stands on one.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine.h"
#include "text/tokenizer.h"

namespace nautile::server {

struct EchoOptions {
  // The text that a choice answers, tokenized with special tokens parsed. Called from the engine's
  // thread; what it throws becomes `failed`. Empty: the prompt is said again, token by token.
  std::function<std::string(const engine::Request&, int choice)> answer;
  std::int64_t context = 4096;
  std::size_t running = 64;      // requests at once
  std::size_t waiting = 64;      // more are refused as queue_full
  double token_seconds = 0;      // each step says one token of every running choice
  double start_seconds = 0;      // before a request's first step, as if its prompt were long
  std::int64_t fail_after = -1;  // tokens of a request after which it fails; -1: never
  // callers: submit() tells all events before it returns, and token_seconds and start_seconds are
  // not read.
  enum class Thread : std::uint8_t { own, callers } thread = Thread::own;
};

// Deterministic: what it says follows from the request and the options alone. It keeps all that
// Request promises (stops, budgets, grammar, logprobs, bans by logit_bias, choices), but that its
// logprobs mean nothing: about -0.1 * (1 + id % 7). A grammar that does not allow the next token
// of the answer is led to its end by the shortest way. Embeddings are 8 numbers made of the ids.
class EchoEngine : public engine::Engine {
 public:
  // The tokenizer must outlive it.
  EchoEngine(const Tokenizer& tokenizer, EchoOptions options);
  // Fails what runs.
  ~EchoEngine() override;

  engine::Admission submit(engine::Request request, engine::EventSink sink) override;
  engine::Admission foresee(std::int64_t ahead) const override;
  void cancel(engine::RequestId id) override;
  void drain() override;
  engine::EngineCounts counts() const override;
  std::int64_t context() const override { return options_.context; }

  static constexpr std::size_t kEmbedding = 8;

 private:
  class Speaker;
  struct Job;
  void run();
  bool step(Job& job);
  void begin(Job& job);

  const Tokenizer& tokenizer_;
  EchoOptions options_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::unique_ptr<Job>> waiting_;
  std::list<std::unique_ptr<Job>> running_;
  std::vector<engine::RequestId> cancelled_;  // asked for, not done yet
  engine::EngineCounts counts_;
  engine::RequestId next_ = 1;
  bool draining_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace nautile::server
