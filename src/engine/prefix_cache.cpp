#include "engine/prefix_cache.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace nautile::engine {
namespace {

PageKey hash_of(std::span<const std::byte> bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.low64, hash.high64};
}

}  // namespace

PageChain PrefixCache::begin(std::string_view user) {
  return {.key = hash_of(std::as_bytes(std::span(user))), .page = -1};
}

PageKey PrefixCache::next_key(const PageChain& chain, PageTokens tokens) {
  std::byte bytes[sizeof(PageKey) + sizeof(std::int32_t) * KvPages::kPageTokens];
  std::memcpy(bytes, &chain.key, sizeof chain.key);
  std::memcpy(bytes + sizeof chain.key, tokens.data(), tokens.size_bytes());
  return hash_of(bytes);
}

// A page follows another for good: what follows is forgotten first, so comparing the page before
// compares all tokens before.
std::int32_t PrefixCache::peek(PageChain& chain, const PageKey& key, PageTokens tokens,
                               std::string_view user) const {
  const auto found = index_.find(key);
  if (found == index_.end()) return -1;
  const Entry& known = entry(found->second);
  const bool same = known.parent == chain.page && (chain.page >= 0 || known.user == user) &&
                    std::equal(tokens.begin(), tokens.end(), known.tokens.begin());
  if (!same) return -1;
  chain = {.key = key, .page = found->second};
  return found->second;
}

std::int32_t PrefixCache::find(PageChain& chain, const PageKey& key, PageTokens tokens,
                               std::string_view user) {
  const std::int32_t page = peek(chain, key, tokens, user);
  if (page >= 0) retain(page);
  return page;
}

std::int32_t PrefixCache::insert(PageChain& chain, const PageKey& key, PageTokens tokens,
                                 std::string_view user, std::int32_t page) {
  const std::int32_t other = find(chain, key, tokens, user);
  if (other >= 0) {
    release(page);
    return other;
  }
  NAUTILE_ASSERT(!known(page), "page {} is known already", page);
  // The key of another text: the older page keeps it, this one stays known by its own chain alone.
  index_.try_emplace(key, page);
  Entry& mine = entry(page);
  mine.key = key;
  mine.parent = chain.page;
  mine.tokens.assign(tokens.begin(), tokens.end());
  if (chain.page < 0) mine.user = user;
  if (chain.page >= 0) ++entry(chain.page).children;
  pages_.retain(page);
  chain = {.key = key, .page = page};
  return page;
}

std::int32_t PrefixCache::take() {
  if (pages_.free_pages() == 0 && oldest_ >= 0) forget(oldest_);
  return pages_.take();
}

void PrefixCache::retain(std::int32_t page) {
  if (known(page) && pages_.references(page) == 1) remove_idle(page);
  pages_.retain(page);
}

void PrefixCache::release(std::int32_t page) {
  pages_.release(page);
  if (known(page) && pages_.references(page) == 1) append_idle(page);
}

void PrefixCache::append_idle(std::int32_t page) {
  Entry& last = entry(page);
  last.older = newest_;
  last.newer = -1;
  (newest_ >= 0 ? entry(newest_).newer : oldest_) = page;
  newest_ = page;
  ++idle_;
}

void PrefixCache::remove_idle(std::int32_t page) {
  const Entry& gone = entry(page);
  (gone.older >= 0 ? entry(gone.older).newer : oldest_) = gone.newer;
  (gone.newer >= 0 ? entry(gone.newer).older : newest_) = gone.older;
  --idle_;
}

void PrefixCache::forget(std::int32_t page) {
  // Whoever holds a page holds all before it and releases it first.
  NAUTILE_ASSERT(entry(page).children == 0, "page {} is forgotten before what follows it", page);
  remove_idle(page);
  const auto found = index_.find(entry(page).key);
  if (found != index_.end() && found->second == page) index_.erase(found);
  if (entry(page).parent >= 0) --entry(entry(page).parent).children;
  entry(page) = {};
  pages_.release(page);
}

}  // namespace nautile::engine
