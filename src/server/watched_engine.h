// watched_engine.h — WatchedEngine: an engine, with its times measured, that can end all it has.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "server/metrics.h"

namespace nautile::server {

// Adds to `metrics`, labelled with the model's name: time to the first token of a request, between
// two pieces of a choice, and in the queue. Safe for concurrent use.
class WatchedEngine : public engine::Engine {
 public:
  // `end_ids`: tokens that end an answer besides the tokenizer's own, as the checkpoint says.
  // Engine and metrics outlive it. Requests it leaves behind are cancelled and say nothing more.
  WatchedEngine(engine::Engine& inner, Metrics& metrics, std::string model,
                std::vector<TokenId> end_ids);
  ~WatchedEngine() override;
  WatchedEngine(const WatchedEngine&) = delete;
  WatchedEngine& operator=(const WatchedEngine&) = delete;

  engine::Admission submit(engine::Request request, engine::EventSink sink) override;
  engine::Admission foresee(std::int64_t ahead) const override { return inner_.foresee(ahead); }
  void cancel(engine::RequestId id) override { inner_.cancel(id); }
  void drain() override { inner_.drain(); }
  engine::EngineCounts counts() const override { return inner_.counts(); }
  std::int64_t context() const override { return inner_.context(); }

  // Ends every request with `failed`, whose error is `why`, and cancels it. Takes no more.
  void fail_all(const std::string& why);

 private:
  struct Watch;
  struct Watches;
  // Those not ended yet.
  std::vector<std::shared_ptr<Watch>> watches() const;
  void pass(Watch& watch, const engine::Event& event);

  engine::Engine& inner_;
  Metrics& metrics_;
  const Labels labels_;
  const std::vector<TokenId> end_ids_;
  // Its own, because the engine may drop a request's sink after it.
  const std::shared_ptr<Watches> watches_;
};

}  // namespace nautile::server
