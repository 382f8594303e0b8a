// page_index.h — PageIndex: the SQLite file that says which pages a folder holds, and when used.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/prefix_cache.h"

namespace nautile::engine {

// Rows (cache, key) -> bytes, used; a cache is a name with a number of its own. Several processes
// may have one file open. Not thread-safe. Throws Error(failure) with SQLite's words.
class PageIndex {
 public:
  // Makes the file if it is not there, and anew if it is damaged: an index is only a memory.
  explicit PageIndex(const std::string& path);
  ~PageIndex();
  PageIndex(const PageIndex&) = delete;
  PageIndex& operator=(const PageIndex&) = delete;

  std::int64_t number_of(std::string_view cache);  // given at its first use

  struct Row {
    std::int64_t cache = 0;
    PageKey key;
    std::uint64_t bytes = 0;
  };
  void each(const std::function<void(const Row&)>& row);
  void put(const Row& row, std::int64_t used);
  void touch(std::int64_t cache, const PageKey& key, std::int64_t used);
  void erase(std::int64_t cache, const PageKey& key);
  std::uint64_t bytes();              // of all caches
  std::vector<Row> oldest(int most);  // by `used`

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nautile::engine
