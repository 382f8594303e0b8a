#include "engine/kv_pages.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace nautile::engine {
namespace {

// Layers that own rows: the blocks and the prediction modules behind them.
int caching_layers(const ModelConfig& config) {
  return config.layers + config.mtp_layers;
}

std::size_t layer_row_bytes(const ModelConfig& config, Format format) {
  const int values = config.attention.cached_values(), block = info(format).block;
  const int head = config.attention.kind == AttentionKind::mla ? config.attention.kv_rank
                                                               : config.attention.key_dims();
  if (values % block != 0 || head % block != 0 ||
      config.attention.value_dims % (config.attention.kind == AttentionKind::mla ? 1 : block) !=
          0) {
    throw make_error(ErrorKind::unsupported,
                     "a {} cache stores {} values at a time; this model has heads or latents of {}",
                     info(format).name, block, head)
        .hint("use a BF16 cache");
  }
  return row_bytes(format, static_cast<std::size_t>(values));
}

}  // namespace

std::size_t KvPages::bytes_per_token(const ModelConfig& config, Format format) {
  return static_cast<std::size_t>(caching_layers(config)) * layer_row_bytes(config, format);
}

KvPages::KvPages(const ModelConfig& config, Format format, std::int64_t tokens) : format_(format) {
  const std::size_t layer_bytes =
      static_cast<std::size_t>(kPageTokens) * layer_row_bytes(config, format);
  for (int layer = 0; layer < caching_layers(config); ++layer)
    layer_offset_.push_back(static_cast<std::size_t>(layer) * layer_bytes);
  page_bytes_ = layer_offset_.size() * layer_bytes;
  const std::size_t pages = static_cast<std::size_t>((tokens + kPageTokens - 1) / kPageTokens);
  bytes_ = std::max<std::size_t>(pages * page_bytes_, 4096);
  void* address = ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED)
    fail(ErrorKind::no_memory, "cannot reserve {} bytes for the cache of {} tokens", bytes_,
         tokens);
  base_ = static_cast<std::byte*>(address);
  references_.assign(pages, 0);
  for (std::size_t page = pages; page-- > 0;) free_.push_back(static_cast<std::int32_t>(page));
}

KvPages::~KvPages() {
  ::munmap(base_, bytes_);
}

std::int32_t KvPages::take() {
  if (free_.empty()) return -1;
  const std::int32_t page = free_.back();
  free_.pop_back();
  references_[static_cast<std::size_t>(page)] = 1;
  return page;
}

void KvPages::release(std::int32_t page) {
  std::int32_t& references = references_[static_cast<std::size_t>(page)];
  NAUTILE_ASSERT(references > 0, "page {} is free already", page);
  if (--references == 0) free_.push_back(page);
}

void KvPages::copy(std::int32_t from, std::int32_t to) const {
  std::memcpy(data(to), data(from), page_bytes_);
}

KvView KvPages::view(std::span<const std::span<const std::int32_t>> sequences) const {
  KvView view{
      .format = format_, .page_tokens = kPageTokens, .layer_offset = layer_offset_, .pages = {}};
  this->view(sequences, view);
  return view;
}

void KvPages::view(std::span<const std::span<const std::int32_t>> sequences, KvView& into) const {
  into.pages.resize(std::max(into.pages.size(), sequences.size()));
  for (std::size_t s = 0; s < sequences.size(); ++s) {
    std::vector<std::byte*>& addresses = into.pages[s];
    addresses.resize(sequences[s].size());
    for (std::size_t i = 0; i < addresses.size(); ++i) addresses[i] = data(sequences[s][i]);
  }
}

}  // namespace nautile::engine
