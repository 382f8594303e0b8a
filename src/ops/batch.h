// batch.h — Batch: one ragged batch of token rows; KvView: where the keys of its sequences lie.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/format.h"

namespace nautile {

// Cached rows of the batch's sequences. Position p of sequence s in layer l lies in page
// p / page_tokens of s, at layer_offset[l] + (p % page_tokens)·row_bytes(l). A plain view; the
// pages' owner keeps them alive and has room for every position of the batch.
struct KvView {
  Format format = Format::bf16;
  std::int64_t page_tokens = 0;
  std::vector<std::size_t> layer_offset;       // [L]
  std::vector<std::vector<std::byte*>> pages;  // [S][pages]
};

// T token rows in S spans. Rows of a span are consecutive positions of one sequence and may attend
// to one another and to the sequence's cached past. Without `kv` the batch is its own past and
// every span starts at position 0.
struct Batch {
  std::span<const std::int32_t> tokens;     // [T]
  std::span<const std::int32_t> positions;  // [T]
  std::span<const std::int32_t> starts;     // [S+1], ascending, 0 … T
  const KvView* kv = nullptr;
  // Training: bounds of packed rows [B+1], the unit of the balance loss; empty elsewhere.
  std::span<const std::int32_t> packed{};

  std::int64_t rows() const { return static_cast<std::int64_t>(tokens.size()); }
  std::int64_t spans() const { return static_cast<std::int64_t>(starts.size()) - 1; }
};

}  // namespace nautile
