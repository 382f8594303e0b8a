// packer.h — Packer: which pieces of which documents fill the rows of a micro-batch.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <mutex>
#include <vector>

namespace nautile::train {

enum class Packing : std::uint8_t {
  // Documents stay whole; each goes to the fullest row where it fits, or waits for a later slot.
  // Rows are of at most `seq_len` tokens.
  whole,
  // Documents one after another; a row is exactly `seq_len` tokens and ends where it ends, in the
  // midst of a document too (DeepSeek-V3's pre-training).
  stream,
};

// Tokens [begin, end) of what was drawn as number `draw`.
struct PackedPiece {
  std::uint64_t draw = 0;
  std::int64_t begin = 0, end = 0;
};
using PackedRow = std::vector<PackedPiece>;

// Slots are a pure function of their index: what a slot holds follows from the lengths of all draws
// before it, which are walked through once and remembered at intervals (about half a microsecond a
// draw). Safe to use from many threads.
class Packer {
 public:
  // length(draw) in 1 … seq_len, a pure function.
  using Length = std::function<std::int64_t(std::uint64_t draw)>;
  static constexpr std::uint64_t kEndless = std::numeric_limits<std::uint64_t>::max();

  // rows, seq_len >= 1. With `draws` the slots end: later ones are empty.
  Packer(Packing packing, std::int64_t seq_len, std::int64_t rows, Length length,
         std::uint64_t draws = kEndless);

  // The rows of slot `index` >= 0; fewer than `rows`, or none, only at the end of the draws.
  std::vector<PackedRow> slot(std::int64_t index) const;
  // How many draws the slots before `index` have begun.
  std::uint64_t draws_before(std::int64_t index) const;

 private:
  // At most this many draws wait for a row in which they fit.
  static constexpr std::size_t kWaiting = 64;
  static constexpr std::int64_t kRemembered = 64;  // every so many slots

  struct State {
    std::uint64_t next = 0;            // the next draw
    std::int64_t used = 0;             // stream: tokens of it that are used already
    std::vector<PackedPiece> waiting;  // whole: from 0 to their lengths
  };
  std::vector<PackedRow> advance(State& state) const;
  std::vector<PackedRow> advance_whole(State& state) const;
  std::vector<PackedRow> advance_stream(State& state) const;
  State state_before(std::int64_t index) const;

  Packing packing_;
  std::int64_t seq_len_, rows_;
  Length length_;
  std::uint64_t draws_;
  mutable std::mutex mutex_;
  mutable std::vector<State> remembered_;  // of slots 0, kRemembered, …
  mutable State last_;                     // of slot last_index_, for reading in order
  mutable std::int64_t last_index_ = 0;
};

}  // namespace nautile::train
