// bpe_test.cpp — merges against a naive loop, long pieces, unknown bytes.
#include "text/bpe.h"

#include <gtest/gtest.h>

#include <chrono>

#include "text/tokenizer_testing.h"

namespace nautile {
namespace {

struct Small {
  std::unique_ptr<BpeVocab> vocab;
  std::vector<BpeMerge> merges;
};

// Random merges over the letters a–d, each joining two tokens there are.
Small random_bpe(unsigned seed, int count) {
  std::vector<VocabEntry> entries;
  std::vector<std::string> texts = {"a", "b", "c", "d"};
  for (const std::string& t : texts) entries.push_back({t, static_cast<TokenId>(entries.size())});
  Small s;
  while (static_cast<int>(s.merges.size()) < count) {
    const auto draw = [&] {
      seed = seed * 1664525 + 1013904223;
      return (seed >> 8) % texts.size();
    };
    const std::size_t l = draw(), r = draw();
    const std::string joined = texts[l] + texts[r];
    const auto known = std::find(texts.begin(), texts.end(), joined);
    const auto product = static_cast<TokenId>(known - texts.begin());
    if (known == texts.end()) {
      texts.push_back(joined);
      entries.push_back({joined, product});
    }
    s.merges.push_back({static_cast<TokenId>(l), static_cast<TokenId>(r), product,
                        static_cast<std::uint32_t>(s.merges.size())});
  }
  s.vocab = std::make_unique<BpeVocab>(entries, TokenSpelling::bytes);
  return s;
}

std::vector<TokenId> naive(const Small& s, std::string_view piece) {
  std::vector<TokenId> ids;
  for (const char c : piece) ids.push_back(s.vocab->find_bytes({&c, 1}));
  while (true) {
    const BpeMerge* best = nullptr;
    std::size_t where = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i) {
      const BpeMerge* last = nullptr;
      for (const BpeMerge& m : s.merges) {
        if (m.left == ids[i] && m.right == ids[i + 1]) last = &m;
      }
      if (last && (!best || last->rank < best->rank)) {
        best = last;
        where = i;
      }
    }
    if (!best) return ids;
    ids[where] = best->product;
    ids.erase(ids.begin() + static_cast<long>(where) + 1);
  }
}

TEST(Bpe, EqualsTheNaiveLoop) {
  for (unsigned seed = 1; seed <= 30; ++seed) {
    const Small s = random_bpe(seed, 40);
    const Bpe bpe(*s.vocab, s.merges, WholePiece::by_merges, {}, {});
    PieceCache cache(100000);
    unsigned state = seed;
    for (int i = 0; i < 100; ++i) {
      std::string piece;
      const std::size_t size = i < 80 ? 1 + static_cast<std::size_t>(i) % 20 : 200;  // heap too
      for (std::size_t j = 0; j < size; ++j) {
        state = state * 1664525 + 1013904223;
        piece.push_back(static_cast<char>('a' + (state >> 12) % 4));
      }
      for (int repeat = 0; repeat < 2; ++repeat) {  // the second time from the cache
        std::vector<TokenId> ids;
        bpe.encode(piece, cache, ids);
        ASSERT_EQ(ids, naive(s, piece)) << piece;
      }
    }
  }
}

TEST(Bpe, WholePieceOrMerges) {
  // "abc" is a token that the merges never reach.
  const BpeVocab vocab({{"a", 0}, {"b", 1}, {"c", 2}, {"bc", 3}, {"abc", 4}}, TokenSpelling::bytes);
  const std::vector<BpeMerge> merges = {{1, 2, 3, 0}};
  PieceCache cache(0);
  std::vector<TokenId> ids;
  Bpe(vocab, merges, WholePiece::by_merges, {}, {}).encode("abc", cache, ids);
  EXPECT_EQ(ids, (std::vector<TokenId>{0, 3}));
  ids.clear();
  Bpe(vocab, merges, WholePiece::always, {}, {}).encode("abc", cache, ids);
  EXPECT_EQ(ids, (std::vector<TokenId>{4}));
  ids.clear();
  const std::vector<bool> forbidden = {false, false, false, true, true};
  Bpe(vocab, merges, WholePiece::always, {}, forbidden).encode("abc", cache, ids);
  EXPECT_EQ(ids, (std::vector<TokenId>{0, 1, 2}));
}

TEST(Bpe, UnknownBytes) {
  const BpeVocab vocab({{"a", 0}, {"?", 1}}, TokenSpelling::bytes);
  PieceCache cache(0);
  const auto encode = [&](UnknownRule rule) {
    std::vector<TokenId> ids;
    Bpe(vocab, {}, WholePiece::by_merges, rule, {}).encode("axxa", cache, ids);
    return ids;
  };
  EXPECT_EQ(encode({}), (std::vector<TokenId>{0, 0}));
  EXPECT_EQ(encode({1, false}), (std::vector<TokenId>{0, 1, 1, 0}));
  EXPECT_EQ(encode({1, true}), (std::vector<TokenId>{0, 1, 0}));
}

TEST(Bpe, MegabyteOfOneLetterIsFast) {
  std::vector<VocabEntry> entries = {{"a", 0}};
  std::vector<BpeMerge> merges;
  std::string text = "a";
  for (TokenId id = 1; id < 10; ++id) {
    text += text;
    entries.push_back({text, id});
    merges.push_back({id - 1, id - 1, id, static_cast<std::uint32_t>(id)});
  }
  const BpeVocab vocab(entries, TokenSpelling::bytes);
  const Bpe bpe(vocab, merges, WholePiece::by_merges, {}, {});
  PieceCache cache(0);
  std::vector<TokenId> ids;
  const auto start = std::chrono::steady_clock::now();
  bpe.encode(std::string(1 << 20, 'a'), cache, ids);
  EXPECT_EQ(ids.size(), std::size_t{1 << 20} / 512);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
}

TEST(BpeVocab, RefusesNonsense) {
  const auto make = [](std::vector<VocabEntry> e) {
    return error_of([&] { BpeVocab(e, TokenSpelling::alphabet); });
  };
  EXPECT_EQ(make({{"a", 0}, {"b", 7}}), "");
  EXPECT_NE(make({{"a", -1}}).find("negative"), std::string::npos);
  EXPECT_NE(make({{"a", 0}, {"b", 0}}).find("twice"), std::string::npos);
  EXPECT_NE(make({{"a", 0}, {"a", 1}}).find("twice"), std::string::npos);
  EXPECT_NE(make({{"中", 0}, {"中", 1}}).find("twice"), std::string::npos);
  EXPECT_NE(make({{"a", 2000000000}}).find("proportion"), std::string::npos);
}

TEST(BpeVocab, AlphabetRoundTrip) {
  std::string all;
  for (int b = 0; b < 256; ++b) all.push_back(static_cast<char>(b));
  std::string back;
  ASSERT_TRUE(alphabet_to_bytes(bytes_to_alphabet(all), back));
  EXPECT_EQ(back, all);
  EXPECT_EQ(bytes_to_alphabet(" a\n"), "ĠaĊ");
  EXPECT_FALSE(alphabet_to_bytes("中", back));
}

}  // namespace
}  // namespace nautile
