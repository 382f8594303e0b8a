// prefix_cache_test.cpp — what is found, who holds it, and in which order it is forgotten.
#include "engine/prefix_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

namespace nautile::engine {
namespace {

ModelConfig tiny_config() {
  ModelConfig config;
  config.layers = 1;
  config.attention = {.heads = 1, .kv_heads = 1, .rope_dims = 2, .value_dims = 2};
  return config;
}

using Page = std::vector<std::int32_t>;
Page page_of(std::int32_t first) {
  Page page(KvPages::kPageTokens);
  for (std::size_t i = 0; i < page.size(); ++i) page[i] = first + static_cast<std::int32_t>(i);
  return page;
}
PrefixCache::PageTokens tokens(const Page& page) {
  return PrefixCache::PageTokens(page.data(), page.size());
}

class PrefixCacheTest : public testing::Test {
 protected:
  KvPages pages_{tiny_config(), Format::f32, 8 * KvPages::kPageTokens};
  PrefixCache cache_{pages_};

  // Takes a page, fills it, makes it known.
  std::int32_t insert(PageChain& chain, const Page& page, std::string_view user = "u") {
    const PageKey key = PrefixCache::next_key(chain, tokens(page));
    return cache_.insert(chain, key, tokens(page), user, cache_.take());
  }
  std::int32_t find(PageChain& chain, const Page& page, std::string_view user = "u") {
    return cache_.find(chain, PrefixCache::next_key(chain, tokens(page)), tokens(page), user);
  }
};

TEST_F(PrefixCacheTest, FindsAChainByItsTokensAndUser) {
  PageChain chain = PrefixCache::begin("u");
  const std::int32_t first = insert(chain, page_of(0)), second = insert(chain, page_of(100));
  PageChain again = PrefixCache::begin("u");
  EXPECT_EQ(find(again, page_of(0)), first);
  EXPECT_EQ(find(again, page_of(100)), second);
  EXPECT_EQ(find(again, page_of(100)), -1);  // nothing follows
  PageChain other = PrefixCache::begin("v");
  EXPECT_EQ(find(other, page_of(0), "v"), -1);
  PageChain middle = PrefixCache::begin("u");
  EXPECT_EQ(find(middle, page_of(100)), -1);
}

// The right key with other tokens, or under another user, is not believed.
TEST_F(PrefixCacheTest, VerifiesTokensAndUser) {
  PageChain chain = PrefixCache::begin("u");
  const PageChain root = chain;
  const Page page = page_of(0);
  Page other = page;
  other.back() ^= 1;
  const PageKey key = PrefixCache::next_key(chain, tokens(page));
  cache_.insert(chain, key, tokens(page), "u", cache_.take());
  PageChain probe = root;
  EXPECT_EQ(cache_.find(probe, key, tokens(other), "u"), -1);
  EXPECT_EQ(cache_.find(probe, key, tokens(page), "v"), -1);
  EXPECT_GE(cache_.find(probe, key, tokens(page), "u"), 0);
  // A page with another one before it.
  probe = {.key = root.key, .page = 5};
  EXPECT_EQ(cache_.find(probe, key, tokens(page), "u"), -1);
}

TEST_F(PrefixCacheTest, TheSamePageComputedTwiceIsHeldOnce) {
  PageChain a = PrefixCache::begin("u"), b = a;
  const std::int32_t first = insert(a, page_of(0));
  EXPECT_EQ(insert(b, page_of(0)), first);
  EXPECT_EQ(pages_.references(first), 3);  // two sequences and the cache
  EXPECT_EQ(pages_.free_pages(), 7);
}

TEST_F(PrefixCacheTest, ForgetsTheLeastRecentlyHeldButNeverWhatIsHeld) {
  PageChain a = PrefixCache::begin("u"), b = PrefixCache::begin("u");
  const std::int32_t a0 = insert(a, page_of(0)), a1 = insert(a, page_of(100));
  const std::int32_t b0 = insert(b, page_of(200));
  cache_.release(a1);
  cache_.release(a0);
  EXPECT_EQ(cache_.idle(), 2);
  EXPECT_EQ(cache_.available(), 5 + 2);
  for (int i = 0; i < 5; ++i) EXPECT_GE(cache_.take(), 0);
  EXPECT_EQ(cache_.take(), a1);  // what follows goes first
  PageChain again = PrefixCache::begin("u");
  EXPECT_EQ(find(again, page_of(0)), a0);
  EXPECT_EQ(find(again, page_of(100)), -1);
  EXPECT_EQ(cache_.take(), -1);  // a0 and b0 are held
  cache_.release(b0);
  EXPECT_EQ(cache_.take(), b0);
}

// Random sequences that come, find, compute and go: nothing leaks, and what is found is right.
TEST_F(PrefixCacheTest, FindsTheLongestBeginning) {
  PageChain chain = PrefixCache::begin("u");
  const PageChain root = chain;
  const Page page = page_of(0);
  const std::int32_t whole = insert(chain, page);
  const auto found = [&](const PageChain& behind, const Page& next, std::string_view user = "u") {
    const PageBeginning it = cache_.longest_beginning(behind, next, user);
    return std::pair(it.page, it.tokens);
  };
  const auto part = [&](std::ptrdiff_t tokens) {
    return Page(page.begin(), page.begin() + tokens);
  };
  const std::pair<std::int32_t, std::size_t> nothing(-1, 0);
  EXPECT_EQ(found(root, part(10)), std::pair(whole, std::size_t{10}));
  Page other = page;
  other[7] = 999;
  EXPECT_EQ(found(root, other), std::pair(whole, std::size_t{7}));
  EXPECT_EQ(found(root, page, "v"), nothing);
  EXPECT_EQ(found(chain, page), nothing);
  EXPECT_EQ(found(root, page_of(5)), nothing);
  // A tail that says more of it.
  other.resize(20);
  const std::int32_t tail = cache_.take();
  cache_.insert_tail(root, other, "u", tail);
  cache_.release(tail);
  EXPECT_EQ(found(root, other), std::pair(tail, std::size_t{20}));
  EXPECT_EQ(cache_.idle(), 1);
}

TEST_F(PrefixCacheTest, ATailIsKnownOnceAndGoesForWhatSaysMore) {
  const PageChain root = PrefixCache::begin("u");
  const auto insert_tail = [&](std::size_t tokens) {
    const std::int32_t page = cache_.take();
    Page tail = page_of(0);
    tail.resize(tokens);
    cache_.insert_tail(root, tail, "u", page);
    cache_.release(page);
  };
  insert_tail(20);
  EXPECT_EQ(cache_.idle(), 1);
  insert_tail(20);
  insert_tail(5);
  EXPECT_EQ(cache_.idle(), 1);
  EXPECT_EQ(cache_.available(), pages_.pages());
  insert_tail(30);
  EXPECT_EQ(cache_.idle(), 1);
  EXPECT_EQ(cache_.longest_beginning(root, page_of(0), "u").tokens, 30u);
  PageChain chain = root;
  const std::int32_t whole = insert(chain, page_of(0));
  EXPECT_EQ(cache_.longest_beginning(root, page_of(0), "u").page, whole);
  EXPECT_EQ(cache_.idle(), 0);
  cache_.release(whole);
  // All of them can be taken again.
  for (std::int64_t i = 0; i < pages_.pages(); ++i) EXPECT_GE(cache_.take(), 0);
  EXPECT_EQ(cache_.longest_beginning(root, page_of(0), "u").tokens, 0u);
}

TEST_F(PrefixCacheTest, ThousandsComeAndGoWithoutALeak) {
  std::mt19937 random(5);
  std::vector<std::vector<std::int32_t>> held;
  std::map<std::int32_t, std::vector<Page>> content;  // of pages: all up to their end
  for (int round = 0; round < 5000; ++round) {
    if (!held.empty() && random() % 2 == 0) {
      const std::size_t who = random() % held.size();
      for (std::size_t i = held[who].size(); i-- > 0;) cache_.release(held[who][i]);
      held.erase(held.begin() + static_cast<std::ptrdiff_t>(who));
      continue;
    }
    const std::string user(1, static_cast<char>('a' + random() % 2));
    std::vector<std::int32_t> mine;
    std::vector<Page> prefix;
    PageChain chain = PrefixCache::begin(user);
    bool whole = true;
    for (std::size_t i = random() % 4; i-- > 0;) {
      prefix.push_back(page_of(static_cast<std::int32_t>(random() % 3) * 100 + user[0]));
      std::int32_t page = find(chain, prefix.back(), user);
      if (page >= 0) {
        EXPECT_EQ(content[page], prefix);
      } else if (cache_.available() > 0) {
        page = insert(chain, prefix.back(), user);
        content[page] = prefix;
      } else {
        whole = false;
        break;
      }
      mine.push_back(page);
    }
    if (whole && cache_.available() > 0) {
      Page tail = page_of(static_cast<std::int32_t>(random() % 3) * 100);
      tail.resize(1 + random() % 60);
      mine.push_back(cache_.take());
      cache_.insert_tail(chain, tail, user, mine.back());
    }
    held.push_back(mine);
  }
  for (const std::vector<std::int32_t>& one : held) {
    for (std::size_t i = one.size(); i-- > 0;) cache_.release(one[i]);
  }
  EXPECT_EQ(cache_.available(), pages_.pages());
  for (std::int64_t i = 0; i < pages_.pages(); ++i) EXPECT_GE(cache_.take(), 0);
  EXPECT_EQ(cache_.idle(), 0);
}

}  // namespace
}  // namespace nautile::engine
