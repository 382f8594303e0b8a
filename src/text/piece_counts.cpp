#include "text/piece_counts.h"

#include "base/error.h"

namespace nautile {

PieceCounts::PieceCounts() : slots_(1024, 0) {}

void PieceCounts::add(std::string_view piece, std::int64_t count) {
  const std::uint64_t hash = hash_bytes(piece.data(), piece.size());
  const std::size_t mask = slots_.size() - 1;
  std::size_t slot = hash & mask;
  for (; slots_[slot] != 0; slot = (slot + 1) & mask) {
    Entry& entry = entries_[slots_[slot] - 1];
    if (entry.hash == hash && this->piece(slots_[slot] - 1) == piece) {
      entry.count += count;
      return;
    }
  }
  NAUTILE_CHECK(entries_.size() < 0xFFFFFFFEu, "the corpus has more than 2^32 distinct pieces");
  entries_.push_back({hash, bytes_.size(), static_cast<std::uint32_t>(piece.size()), count});
  bytes_ += piece;
  slots_[slot] = static_cast<std::uint32_t>(entries_.size());
  if (entries_.size() * 2 > slots_.size()) grow();
}

void PieceCounts::grow() {
  slots_.assign(slots_.size() * 2, 0);
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    std::size_t slot = entries_[i].hash & mask;
    while (slots_[slot] != 0) slot = (slot + 1) & mask;
    slots_[slot] = static_cast<std::uint32_t>(i + 1);
  }
}

void PieceCounts::merge(const PieceCounts& other) {
  for (std::size_t i = 0; i < other.size(); ++i) add(other.piece(i), other.count(i));
}

}  // namespace nautile
