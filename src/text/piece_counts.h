// piece_counts.h — PieceCounts: how often each piece of a corpus occurs.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/bpe_vocab.h"

namespace nautile {

// Distinct byte strings with their counts, in the order in which they were first met. Not
// thread-safe; one per thread, then merge().
class PieceCounts {
 public:
  PieceCounts();

  void add(std::string_view piece, std::int64_t count = 1);
  void merge(const PieceCounts& other);

  std::size_t size() const { return entries_.size(); }
  std::string_view piece(std::size_t index) const {
    return {bytes_.data() + entries_[index].begin, entries_[index].length};
  }
  std::int64_t count(std::size_t index) const { return entries_[index].count; }

 private:
  struct Entry {
    std::uint64_t hash;
    std::uint64_t begin;
    std::uint32_t length;
    std::int64_t count;
  };
  void grow();

  std::string bytes_;
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> slots_;  // index + 1 into entries_, 0 empty; open addressing
};

}  // namespace nautile
