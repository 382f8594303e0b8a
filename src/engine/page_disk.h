// page_disk.h — PageDisk: cached pages in a folder, so that prefixes survive a restart.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/service_thread.h"
#include "engine/page_file.h"
#include "engine/page_index.h"
#include "engine/prefix_cache.h"

namespace nautile::engine {

// One file a page, and an index beside them. Writing is left to a thread of its own, which drops
// what it cannot keep up with; what fails there costs the page and is counted. A file that is
// damaged, gone or another's is no page. The folder's files take at most `bytes`, the least
// recently used go first, whosever cache they belong to.
class PageDisk {
 public:
  // `cache` names what a row's bits depend on besides its tokens, and the pages' format. Makes the
  // folder, for its owner alone. Throws Error(failure) if it cannot be used.
  PageDisk(std::string folder, std::uint64_t bytes, std::string cache, std::size_t page_bytes);
  ~PageDisk();  // flush()
  PageDisk(const PageDisk&) = delete;
  PageDisk& operator=(const PageDisk&) = delete;

  // Whether there seems to be such a page; costs no input or output.
  bool has(const PageKey& key) const;
  // Reads it into `page`; false, and nothing is known of `page`, if it is not there after all.
  enum class Read : std::uint8_t { hit, miss };
  Read read(const PageKey& key, std::string_view user, std::span<const std::int32_t> tokens,
            std::span<std::byte> page);
  // Copies the page and returns. `tokens` are all up to its end.
  void write(const PageKey& key, std::string_view user, std::span<const std::int32_t> tokens,
             std::span<const std::byte> page);
  // Waits until all that was to be written is.
  void flush();

  std::uint64_t bytes() const;     // of all files, as far as this process knows
  std::uint64_t failures() const;  // pages that could not be written

 private:
  struct Job {
    enum class Kind : std::uint8_t { write, touch, erase } kind = Kind::touch;
    PageKey key;
    std::string file;  // write: its content
  };

  std::string path_of(std::int64_t cache, const PageKey& key) const;
  void sweep();
  void work();
  void perform(const Job& job);
  void evict();
  void add(Job job);

  std::string folder_;
  std::uint64_t most_bytes_;
  std::string cache_;
  std::size_t page_bytes_;
  PageIndex index_;  // the thread's, once that runs
  std::int64_t number_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::unordered_set<PageKey, PageKeyHash> there_;
  std::deque<Job> jobs_;
  std::size_t waiting_bytes_ = 0;
  std::uint64_t bytes_ = 0, failures_ = 0;
  bool working_ = false, stop_ = false;
  ServiceThread thread_;
};

}  // namespace nautile::engine
