// prefix_cache.h — PrefixCache: pages of known prefixes, found by chained hash, verified by tokens.
#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/kv_pages.h"

namespace nautile::engine {

// XXH3-128 of the user and all tokens up to the end of a page.
struct PageKey {
  std::uint64_t low = 0, high = 0;
  auto operator<=>(const PageKey&) const = default;
};
struct PageKeyHash {
  std::size_t operator()(const PageKey& key) const { return static_cast<std::size_t>(key.low); }
};

// Where a sequence stands in its chain of whole pages.
struct PageChain {
  PageKey key;             // of the last page; of the user before the first
  std::int32_t page = -1;  // the last page, -1 before the first
};

// A known page whose first rows are of the tokens that come next.
struct PageBeginning {
  std::int32_t page = -1;
  std::size_t tokens = 0;  // that agree
};

// Owns one reference on every page it knows; sequences hold others. A page that no sequence holds
// stays until its memory is needed, the least recently held first, never before what follows it.
// Not thread-safe.
class PrefixCache {
 public:
  // Of the pages behind one, the latest are looked through for a common beginning.
  static constexpr std::size_t kLooked = 64;
  using PageTokens = std::span<const std::int32_t, KvPages::kPageTokens>;

  explicit PrefixCache(KvPages& pages) : pages_(pages), entries_(size(pages.pages())) {}

  // The chain before a user's first page. Users share nothing.
  static PageChain begin(std::string_view user);
  // The key of the page that follows with these tokens.
  static PageKey next_key(const PageChain& chain, PageTokens tokens);

  // The known page that follows, and the chain moves on; -1 if there is none. `key` is
  // next_key(chain, tokens). Nobody holds it for that.
  std::int32_t peek(PageChain& chain, const PageKey& key, PageTokens tokens,
                    std::string_view user) const;
  bool held(std::int32_t page) const { return pages_.references(page) > 1; }  // by a sequence
  // The same with a reference for the caller.
  std::int32_t find(PageChain& chain, const PageKey& key, PageTokens tokens, std::string_view user);
  // Makes the caller's whole page known and moves the chain on -> the page to hold instead: the
  // same, or that of a sequence that computed the same before (the caller's is released).
  std::int32_t insert(PageChain& chain, const PageKey& key, PageTokens tokens,
                      std::string_view user, std::int32_t page);

  // Of the pages behind `chain`, whole ones and tails, that which has most of the next tokens in
  // common, one at least. Nobody holds it for that.
  PageBeginning longest_beginning(const PageChain& chain, std::span<const std::int32_t> tokens,
                                  std::string_view user) const;
  // Makes the caller's last page known, whose first rows are of `tokens`, fewer than a page: others
  // begin with a copy of it. Nothing if what they say is known.
  void insert_tail(const PageChain& chain, std::span<const std::int32_t> tokens,
                   std::string_view user, std::int32_t page);

  // A page with one reference, for which an idle one may be forgotten; -1 if there is none.
  std::int32_t take();
  void retain(std::int32_t page);
  // Pages of one sequence are released last page first.
  void release(std::int32_t page);

  std::int64_t available() const { return pages_.free_pages() + idle_; }  // that take() can give
  std::int64_t idle() const { return idle_; }                             // known, held by none

 private:
  struct Entry {
    PageKey key;
    std::int32_t parent = -1;             // page before it
    std::int32_t children = 0;            // known pages behind it
    std::int32_t older = -1, newer = -1;  // of the idle ones
    std::vector<std::int32_t> tokens;     // [kPageTokens], a tail's fewer; empty: it is not known
    PageKey before;                       // of the chain before it
    std::string user;                     // of a first page
  };

  static std::size_t size(std::int64_t n) { return static_cast<std::size_t>(n); }
  Entry& entry(std::int32_t page) { return entries_[static_cast<std::size_t>(page)]; }
  const Entry& entry(std::int32_t page) const { return entries_[static_cast<std::size_t>(page)]; }
  bool known(std::int32_t page) const { return !entry(page).tokens.empty(); }
  bool follows(const PageChain& chain, std::int32_t page, std::string_view user) const;
  // `said`: the longest beginning that is known of these tokens.
  void know(const PageChain& chain, std::span<const std::int32_t> tokens, std::string_view user,
            std::int32_t page, const PageBeginning& said);
  void append_idle(std::int32_t page);
  void remove_idle(std::int32_t page);
  void forget(std::int32_t page);

  KvPages& pages_;
  std::vector<Entry> entries_;  // by page
  std::unordered_map<PageKey, std::int32_t, PageKeyHash> index_;
  std::unordered_map<PageKey, std::vector<std::int32_t>, PageKeyHash> behind_;  // latest last
  std::int32_t oldest_ = -1, newest_ = -1;
  std::int64_t idle_ = 0;
};

}  // namespace nautile::engine
