// bpe_trainer_test.cpp — learned merges against a naive trainer; files that both loaders read.
#include "text/bpe_trainer.h"

#include <gtest/gtest.h>

#include <map>

#include "base/error.h"
#include "base/rng.h"
#include "text/tokenizer.h"
#include "text/tokenizer_writer.h"

namespace nautile {
namespace {

// Words over a small alphabet, so that ties and overlaps ("aaa") are common.
std::string random_text(std::uint64_t seed, std::size_t words) {
  std::string text;
  for (std::size_t i = 0; i < words; ++i) {
    const auto draw = philox(seed, i, 1);
    for (std::uint32_t k = 0; k <= draw[0] % 7; ++k) text += "aabc"[philox(seed, i, 2 + k)[0] % 4];
    text += i % 9 == 8 ? "\n" : " ";
  }
  return text;
}

using Word = std::vector<std::string>;

// The definition: count every pair anew, take the most frequent, merge, repeat.
std::vector<std::pair<std::string, std::string>> naive_merges(
    const std::map<Word, std::int64_t>& in, const TrainedBpe& ids, std::size_t count) {
  std::map<std::string, std::size_t> id;
  for (std::size_t i = 0; i < 256; ++i) id[ids.tokens[i]] = i;
  std::map<Word, std::int64_t> words = in;
  std::vector<std::pair<std::string, std::string>> merges;
  while (merges.size() < count) {
    std::map<std::pair<std::size_t, std::size_t>, std::pair<std::int64_t, Word>> pairs;
    for (const auto& [word, n] : words) {
      for (std::size_t i = 0; i + 1 < word.size(); ++i) {
        auto& entry = pairs[{id[word[i]], id[word[i + 1]]}];
        entry.first += n;
        entry.second = {word[i], word[i + 1]};
      }
    }
    std::int64_t best = 1;
    Word chosen;
    for (const auto& [key, entry] : pairs) {
      if (entry.first > best) best = entry.first, chosen = entry.second;
    }
    if (chosen.empty()) break;
    merges.emplace_back(chosen[0], chosen[1]);
    id.emplace(chosen[0] + chosen[1], 256 + merges.size() - 1);
    std::map<Word, std::int64_t> next;
    for (const auto& [word, n] : words) {
      Word merged;
      for (std::size_t i = 0; i < word.size(); ++i) {
        const bool match = i + 1 < word.size() && word[i] == chosen[0] && word[i + 1] == chosen[1];
        merged.push_back(match ? chosen[0] + chosen[1] : word[i]);
        i += match ? 1 : 0;
      }
      next[merged] += n;
    }
    words = next;
  }
  return merges;
}

std::map<Word, std::int64_t> words_of(const std::string& text) {
  std::map<Word, std::int64_t> words;
  std::string word;
  const auto flush = [&] {
    Word letters;
    for (const char c : word) letters.emplace_back(1, c);
    if (!letters.empty()) ++words[letters];
  };
  for (const char c : text) {  // the pattern's pieces: a space or newline opens a word
    if (c == '\n') {
      flush();
      word = "";
      ++words[{"\n"}];
    } else if (c == ' ') {
      flush();
      word = " ";
    } else {
      word += c;
    }
  }
  flush();
  return words;
}

TrainedBpe train(const std::string& text, std::int32_t vocab, int threads = 1,
                 std::vector<std::string> reserved = {}) {
  ThreadPool pool(threads);
  BpeTrainer trainer({.vocab_size = vocab, .reserved = std::move(reserved)});
  trainer.add({&text, 1}, pool);
  return trainer.train();
}

TEST(BpeTrainer, AgreesWithTheDefinition) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const std::string text = random_text(seed, 300);
    const TrainedBpe found = train(text, 256 + 60);
    const auto expected = naive_merges(words_of(text), found, found.merges.size());
    // A pair that spells an existing token takes no id; until then both are the same.
    ASSERT_GE(expected.size(), 20u);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const auto& merge = found.merges[i];
      ASSERT_EQ(found.tokens[static_cast<std::size_t>(merge.left)], expected[i].first)
          << seed << " " << i;
      ASSERT_EQ(found.tokens[static_cast<std::size_t>(merge.right)], expected[i].second);
    }
  }
}

TEST(BpeTrainer, ThreadsAndCutsDoNotMatter) {
  std::string text;
  for (std::uint64_t i = 0; i < 40; ++i) text += random_text(i, 4000) + "Zürich\n";
  const TrainedBpe one = train(text, 600), three = train(text, 600, 3);
  ASSERT_EQ(one.tokens, three.tokens);
  ASSERT_EQ(one.merges.size(), three.merges.size());
  ThreadPool pool(2);
  BpeTrainer parts({.vocab_size = 600, .reserved = {}});
  for (std::size_t at = 0, next = 0; at < text.size(); at = next) {
    next = text.find('\n', at) + 1;
    const std::string part = text.substr(at, next - at);
    parts.add({&part, 1}, pool);
  }
  EXPECT_EQ(parts.train().tokens, one.tokens);
}

TEST(BpeTrainer, DigitsStaySingleOrNot) {
  std::string text;
  for (int i = 0; i < 500; ++i) text += "the year 1999 and 2000\n";
  for (const auto& token : train(text, 400).tokens) {
    const bool has_digit = token.find_first_of("0123456789") != token.npos;
    EXPECT_FALSE(token.size() > 1 && has_digit) << token;
  }
  ThreadPool pool(1);
  BpeTrainer trainer({.vocab_size = 400, .digits = DigitPieces::up_to_three, .reserved = {}});
  trainer.add({&text, 1}, pool);
  const TrainedBpe bpe = trainer.train();
  EXPECT_NE(std::find(bpe.tokens.begin(), bpe.tokens.end(), "199"), bpe.tokens.end());
}

TEST(BpeTrainer, ReservedTextsAndLimits) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += "tool tool tools\n";
  const TrainedBpe bpe = train(text, 300, 1, {"tool"});
  EXPECT_EQ(std::find(bpe.tokens.begin(), bpe.tokens.end(), "tool"), bpe.tokens.end());
  EXPECT_LT(bpe.tokens.size(), 300u);  // ends early: nothing left to merge
  EXPECT_THROW(BpeTrainer({.vocab_size = 255, .reserved = {}}), Error);
  // One piece of a megabyte, and bytes that are no UTF-8.
  EXPECT_GT(train(std::string(1 << 20, 'a') + "\xFF\xFE\n", 300).merges.size(), 5u);
}

TEST(TokenizerWriter, OurLoaderReadsIt) {
  const std::string text = random_text(7, 3000);
  const TrainedBpe bpe = train(text, 320);
  const TokenizerSpec spec = default_tokenizer_spec();
  const Tokenizer t =
      Tokenizer::from_json(tokenizer_json_text(bpe, spec), tokenizer_config_text(spec));
  EXPECT_EQ(t.vocab_size(), static_cast<std::int32_t>(bpe.tokens.size() + spec.added.size()));
  EXPECT_TRUE(t.wants_bos());
  EXPECT_EQ(t.bos(), t.id_of(spec.bos));
  EXPECT_EQ(t.eos(), t.id_of(spec.eos));
  const std::string sample = text.substr(0, 500) + " é 12345 <think>ab</think>";
  const auto ids = t.encode(sample, EncodeMode::parse_added);
  EXPECT_EQ(t.decode(ids, SkipSpecial::yes), sample);
  EXPECT_FALSE(t.is_special(*t.id_of("<think>")));
  EXPECT_TRUE(t.is_special(*t.id_of("<｜User｜>")));
  // Every token that was learned is reached: it encodes to itself.
  for (TokenId id = 256; id < static_cast<TokenId>(bpe.tokens.size()); ++id) {
    const auto again = t.encode(bpe.tokens[static_cast<std::size_t>(id)], EncodeMode::plain);
    EXPECT_EQ(again, std::vector<TokenId>{id});
  }
}

}  // namespace
}  // namespace nautile
