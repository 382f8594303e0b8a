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
  const bool same = follows(chain, found->second, user) &&
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
  entry(page).key = key;
  know(chain, tokens, user, page, longest_beginning(chain, tokens, user));
  chain = {.key = key, .page = page};
  return page;
}

bool PrefixCache::follows(const PageChain& chain, std::int32_t page, std::string_view user) const {
  return entry(page).parent == chain.page && (chain.page >= 0 || entry(page).user == user);
}

void PrefixCache::know(const PageChain& chain, std::span<const std::int32_t> tokens,
                       std::string_view user, std::int32_t page, const PageBeginning& said) {
  // A tail that this page says, too, is of no more use.
  if (said.tokens > 0 && said.tokens == entry(said.page).tokens.size() && !held(said.page) &&
      entry(said.page).children == 0) {
    forget(said.page);
  }
  Entry& mine = entry(page);
  mine.parent = chain.page;
  mine.before = chain.key;
  mine.tokens.assign(tokens.begin(), tokens.end());
  if (chain.page < 0) mine.user = user;
  if (chain.page >= 0) ++entry(chain.page).children;
  behind_[chain.key].push_back(page);
  pages_.retain(page);
}

PageBeginning PrefixCache::longest_beginning(const PageChain& chain,
                                             std::span<const std::int32_t> tokens,
                                             std::string_view user) const {
  PageBeginning best;
  const auto found = behind_.find(chain.key);
  if (found == behind_.end()) return best;
  const std::vector<std::int32_t>& pages = found->second;
  const std::size_t first = pages.size() - std::min(pages.size(), kLooked);
  for (std::size_t i = pages.size(); i-- > first;) {
    const std::vector<std::int32_t>& known = entry(pages[i]).tokens;
    const auto end = std::mismatch(known.begin(), known.end(), tokens.begin(), tokens.end()).first;
    const auto common = static_cast<std::size_t>(end - known.begin());
    if (common > best.tokens && follows(chain, pages[i], user)) best = {pages[i], common};
  }
  return best;
}

void PrefixCache::insert_tail(const PageChain& chain, std::span<const std::int32_t> tokens,
                              std::string_view user, std::int32_t page) {
  const PageBeginning said = longest_beginning(chain, tokens, user);
  if (said.tokens < tokens.size()) know(chain, tokens, user, page, said);
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
  const auto behind = behind_.find(entry(page).before);
  if (std::erase(behind->second, page) > 0 && behind->second.empty()) behind_.erase(behind);
  entry(page) = {};
  pages_.release(page);
}

}  // namespace nautile::engine
