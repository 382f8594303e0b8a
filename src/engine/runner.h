// runner.h — Runner: one ragged batch through the model, and the logits of the rows that need them.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engine/kv_pages.h"
#include "model/model.h"

namespace nautile::engine {

// Consecutive tokens of one sequence: a chunk of a prompt, or one token that decodes.
struct RunnerSpan {
  std::span<const std::int32_t> tokens;
  std::int64_t position = 0;            // of the first
  std::span<const std::int32_t> pages;  // with room for all of them
};

// What it is given outlives it. Not thread-safe.
class Runner {
 public:
  // Rows of logits made at a time: 64 rows of 129,280 are 33 MB.
  static constexpr std::int64_t kLogitRows = 64;

  Runner(const Model& model, Backend& backend, const KvPages& pages, std::uint64_t scratch_bytes);

  // Computes all spans -> hidden states [T, D], valid until the next run().
  Tensor run(std::span<const RunnerSpan> spans);

  // Logits of the given rows of `hidden`, some at a time: body(index of the first, logits [n, W]).
  using Logits = std::function<void(std::size_t first, Tensor logits)>;
  void logits(Tensor hidden, std::span<const std::int64_t> rows, const Logits& body);
  // Rows [first, first + count) of `hidden` after the final norm, valid until the next run().
  Tensor normed(Tensor hidden, std::int64_t first, std::int64_t count);
  // Gives memory that a large batch took back to the system.
  void release() { scratch_.release_unused(); }

 private:
  const Model& model_;
  const KvPages& pages_;
  Arena scratch_;
  Context ctx_;
  KvView view_;
  std::vector<std::int32_t> tokens_, positions_, starts_;
  std::vector<std::span<const std::int32_t>> held_;
};

}  // namespace nautile::engine
