// session.h — Session: one sequence of tokens with its cache; what chat, run and eval stand on.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/kv_pages.h"
#include "engine/memory.h"
#include "model/model.h"

namespace nautile::engine {

struct SessionOptions {
  std::int64_t context = 4096;      // tokens that fit
  Format kv_format = Format::bf16;  // BF16, Q8_0 or F32
  std::int64_t chunk = 512;         // prefill rows of one batch
  // Where other processes have some of the experts; all of them append the same tokens.
  const ExpertGroup* experts = nullptr;
};

MemoryNeed memory_need(const ModelConfig& config, std::uint64_t weight_bytes,
                       const SessionOptions& options);
// Throws Error(no_memory) with the three figures and what would fit, if `need` exceeds `available`.
void require_fit(const MemoryNeed& need, std::uint64_t available, const ModelConfig& config,
                 const SessionOptions& options);

class Session {
 public:
  // The model and the backend outlive the session.
  Session(const Model& model, Backend& backend, const SessionOptions& options);

  std::span<const std::int32_t> tokens() const { return tokens_; }
  std::int64_t size() const { return static_cast<std::int64_t>(tokens_.size()); }
  std::int64_t context() const { return options_.context; }

  // Called after each chunk with tokens done; returning false stops (the done tokens stay).
  enum class Go : std::uint8_t { on, stop };
  using Progress = std::function<Go(std::int64_t done, std::int64_t all)>;

  // Appends tokens and computes them -> logits [W] of the last one, valid until the next call;
  // empty if stopped. Throws Error(usage) when they do not fit the context.
  std::span<const float> append(std::span<const std::int32_t> tokens,
                                const Progress& progress = {});
  // The same, giving the logits [n, W] of every row, chunk by chunk (perplexity, prompt logprobs).
  using Rows = std::function<void(std::int64_t first, Tensor logits)>;
  void append_all(std::span<const std::int32_t> tokens, const Rows& rows);

  // Forgets what follows the first `size` tokens.
  void truncate(std::int64_t size);

  // Tokens and cache in one file, written atomically; a loaded session goes on to the same bits.
  // load throws Error(bad_input) if the file is of another model, cache format or is damaged, and
  // replaces the session only when it is whole. `fingerprint` names the model.
  void save(const std::string& path, std::string_view fingerprint) const;
  void load(const std::string& path, std::string_view fingerprint);

 private:
  // Runs one chunk -> hidden states [n, D] in scratch.
  Tensor step(std::span<const std::int32_t> tokens);
  void make_room(std::int64_t tokens);

  const Model& model_;
  SessionOptions options_;
  Arena scratch_;
  Context ctx_;
  KvPages pages_;
  std::vector<std::int32_t> tokens_;
  std::vector<std::int32_t> held_;  // pages, in order of position
  std::vector<float> logits_;       // [W]
};

}  // namespace nautile::engine
