// batch_engine.h — BatchEngine: the engine that computes, all sequences in one ragged batch a step.
#pragma once

#include <memory>
#include <string>

#include "engine/engine.h"
#include "engine/memory.h"
#include "model/model.h"

namespace nautile::engine {

// A cache of prefixes on disk; a folder may be shared by engines, processes and models.
struct PageDiskOptions {
  std::string folder = {};  // empty: none. Made if it is not there, for its owner alone
  std::uint64_t bytes = 0;  // that its files may take; what was used least recently goes first
  // Names what a row's numbers depend on besides its tokens: weights, adapter, table of kernels,
  // compute class, program. The engine adds the cache's format.
  std::string fingerprint = {};
};

struct BatchEngineOptions {
  std::int64_t context = 4096;      // tokens of one sequence
  std::int64_t kv_tokens = 16384;   // tokens of all, cached prefixes included; at least one page
  Format kv_format = Format::bf16;  // BF16, Q8_0 or F32
  std::int64_t row_budget = 512;    // rows of one batch
  // Rows of prompts in a batch that also decodes: what running streams wait for.
  std::int64_t prefill_beside_decode = 128;
  std::int64_t most_running = 256;  // choices that hold pages, at most row_budget
  std::int64_t queue = 256;         // choices that may wait besides
  PageDiskOptions disk = {};
};

// Bytes that an engine of these options comes to; kv is what `kv_tokens` take when all are in use.
MemoryNeed memory_need(const ModelConfig& config, std::uint64_t weight_bytes,
                       const BatchEngineOptions& options);
// The options with `kv_tokens` cut to what `available` bytes leave beside weights and scratch, at
// most what was asked for. Throws Error(no_memory), with the figures and what would fit, if that
// is less than one sequence of `context` tokens.
BatchEngineOptions fit_memory(const ModelConfig& config, std::uint64_t weight_bytes,
                              BatchEngineOptions options, std::uint64_t available);

// Events of a request come from the thread that steps. A choice that cannot go on (a logit that is
// no number, a grammar without a way, a token outside the vocabulary) fails its request alone.
class BatchEngine : public Engine {
 public:
  // What is referred to outlives the engine; the backend is the engine's alone. Throws Error(usage)
  // naming the option that cannot be, or if a model with latent attention is not set up with
  // MlaForm::absorbed: its numbers must not depend on how prompts are cut. Throws Error(no_memory),
  // and Error(failure) if the disk's folder cannot be used.
  BatchEngine(const Model& model, Backend& backend, const Tokenizer& tokenizer,
              const BatchEngineOptions& options);
  // stop(); what has not ended gets `finished` with Finish::cancelled.
  ~BatchEngine() override;

  // Starts the thread that steps while there is work, and sleeps while there is none.
  void start();
  // Ends that thread after the step it is in; requests stay where they are.
  void stop();

  // One batch: cancels, admits, computes, says. For a caller without start(). False if there was
  // nothing to do.
  bool step();

  Admission submit(Request request, EventSink sink) override;
  Admission foresee(std::int64_t ahead) const override;
  void cancel(RequestId id) override;
  void drain() override;
  EngineCounts counts() const override;
  std::int64_t context() const override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nautile::engine
