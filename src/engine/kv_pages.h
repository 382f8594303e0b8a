// kv_pages.h — KvPages: pages of cached rows; who holds them, which are free.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/config.h"
#include "ops/batch.h"

namespace nautile::engine {

// One block of memory cut into pages of kPageTokens tokens × all layers (prediction modules
// included). Memory is committed as it is first written. Not thread-safe: the engine steps alone.
class KvPages {
 public:
  static constexpr std::int64_t kPageTokens = 64;

  // Room for `tokens` tokens in all. Throws Error(no_memory) if the address space cannot be had and
  // Error(unsupported) if the model's rows do not fit the format.
  KvPages(const ModelConfig& config, Format format, std::int64_t tokens);
  ~KvPages();
  KvPages(const KvPages&) = delete;
  KvPages& operator=(const KvPages&) = delete;

  static std::size_t bytes_per_token(const ModelConfig& config, Format format);

  std::size_t page_bytes() const { return page_bytes_; }
  std::int64_t pages() const { return static_cast<std::int64_t>(references_.size()); }
  std::int64_t free_pages() const { return static_cast<std::int64_t>(free_.size()); }

  // A page with one reference, or -1 when none is free.
  std::int32_t take();
  void retain(std::int32_t page) { ++references_[static_cast<std::size_t>(page)]; }
  void release(std::int32_t page);
  std::int32_t references(std::int32_t page) const {
    return references_[static_cast<std::size_t>(page)];
  }
  void copy(std::int32_t from, std::int32_t to) const;

  std::byte* data(std::int32_t page) const {
    return base_ + static_cast<std::size_t>(page) * page_bytes_;
  }
  // The view of a batch whose sequences hold these pages.
  KvView view(std::span<const std::span<const std::int32_t>> sequences) const;
  // The same into a view of these pages made before, whose memory is used again.
  void view(std::span<const std::span<const std::int32_t>> sequences, KvView& into) const;

 private:
  Format format_;
  std::size_t page_bytes_ = 0;
  std::vector<std::size_t> layer_offset_;
  std::byte* base_ = nullptr;
  std::size_t bytes_ = 0;
  std::vector<std::int32_t> references_;
  std::vector<std::int32_t> free_;
};

}  // namespace nautile::engine
