#include "train/packer.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace nautile::train {

Packer::Packer(Packing packing, std::int64_t seq_len, std::int64_t rows, Length length,
               std::uint64_t draws)
    : packing_(packing),
      seq_len_(seq_len),
      rows_(rows),
      length_(std::move(length)),
      draws_(draws),
      remembered_(1) {
  NAUTILE_ASSERT(seq_len >= 1 && rows >= 1, "{} rows of {} tokens", rows, seq_len);
}

std::vector<PackedRow> Packer::advance(State& state) const {
  return packing_ == Packing::whole ? advance_whole(state) : advance_stream(state);
}

// Best fit: those that wait come first, the oldest of them into an empty row, so nothing waits for
// ever. The slot is full when as many wait as may.
std::vector<PackedRow> Packer::advance_whole(State& state) const {
  std::vector<PackedRow> rows(static_cast<std::size_t>(rows_));
  std::vector<std::int64_t> room(rows.size(), seq_len_);
  std::vector<PackedPiece> waiting;
  std::int64_t free = seq_len_ * rows_;
  const auto place = [&](const PackedPiece& piece) {
    std::size_t best = rows.size();
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (room[i] >= piece.end && (best == rows.size() || room[i] < room[best])) best = i;
    }
    if (best == rows.size()) {
      waiting.push_back(piece);
      return;
    }
    rows[best].push_back(piece);
    room[best] -= piece.end;
    free -= piece.end;
  };
  for (const PackedPiece& piece : state.waiting) place(piece);
  while (free > 0 && waiting.size() < kWaiting && state.next < draws_) {
    const std::int64_t length = length_(state.next);
    NAUTILE_ASSERT(length >= 1 && length <= seq_len_, "a piece of {} tokens for rows of {}", length,
                   seq_len_);
    place({state.next++, 0, length});
  }
  state.waiting = std::move(waiting);
  std::erase_if(rows, [](const PackedRow& row) { return row.empty(); });
  return rows;
}

std::vector<PackedRow> Packer::advance_stream(State& state) const {
  std::vector<PackedRow> rows;
  while (static_cast<std::int64_t>(rows.size()) < rows_ && state.next < draws_) {
    PackedRow row;
    std::int64_t room = seq_len_;
    while (room > 0 && state.next < draws_) {
      const std::int64_t length = length_(state.next);
      const std::int64_t end = std::min(length, state.used + room);
      row.push_back({state.next, state.used, end});
      room -= end - state.used;
      state.used = end;
      if (end == length) {
        ++state.next;
        state.used = 0;
      }
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

Packer::State Packer::state_before(std::int64_t index) const {
  NAUTILE_ASSERT(index >= 0, "slot {}", index);
  const std::lock_guard lock(mutex_);
  const auto known =
      std::min(index / kRemembered, static_cast<std::int64_t>(remembered_.size()) - 1);
  std::int64_t at = known * kRemembered;
  State state = remembered_[static_cast<std::size_t>(known)];
  if (last_index_ <= index && last_index_ > at) {
    at = last_index_;
    state = last_;
  }
  for (; at < index; ++at) {
    if (at == static_cast<std::int64_t>(remembered_.size()) * kRemembered)
      remembered_.push_back(state);
    advance(state);
  }
  if (at == static_cast<std::int64_t>(remembered_.size()) * kRemembered)
    remembered_.push_back(state);
  last_ = state;
  last_index_ = index;
  return state;
}

std::vector<PackedRow> Packer::slot(std::int64_t index) const {
  State state = state_before(index);
  return advance(state);
}

std::uint64_t Packer::draws_before(std::int64_t index) const {
  return state_before(index).next;
}

}  // namespace nautile::train
