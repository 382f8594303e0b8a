// pre_tokenizer_test.cpp — pieces of the named lists and of foreign patterns, and their budgets.
#include "text/pre_tokenizer.h"

#include <gtest/gtest.h>

#include "text/split_known.h"
#include "text/split_regex.h"
#include "text/tokenizer_testing.h"

namespace nautile {
namespace {

class Pieces : public PieceSink {
 public:
  void piece(std::string_view text) override { list.emplace_back(text); }
  std::vector<std::string> list;
};

using List = std::vector<std::string>;

List pieces(std::string_view pre, std::string_view text) {
  Pieces sink;
  pre_tokenizer_by_name(pre).split(text, sink);
  return sink.list;
}

List split(const std::string& pattern, SplitBehavior behavior, std::string_view text,
           SplitInvert invert = SplitInvert::no) {
  Pieces sink;
  make_regex_step(pattern, behavior, invert)->split(text, sink);
  return sink.list;
}

TEST(PreTokenizer, NamedLists) {
  EXPECT_EQ(pieces("gpt-2", "We'll  go\n\nnow 12a!"),
            (List{"We", "'ll", " ", " go", "\n", "\n", "now", " 12", "a", "!"}));
  EXPECT_EQ(pieces("llama-bpe", "We'LL 12345 x\n\n  y"),
            (List{"We", "'LL", " ", "123", "45", " x", "\n\n", " ", " y"}));
  EXPECT_EQ(pieces("qwen2", "a12"), (List{"a", "1", "2"}));
  EXPECT_EQ(pieces("smollm", "a 12 b"), (List{"a", " ", "1", "2", " b"}));
  EXPECT_EQ(pieces("deepseek-v3", "x=1234 中文ab.foo"),
            (List{"x", "=", "123", "4", " ", "中文", "ab", ".foo"}));
  EXPECT_EQ(pieces("deepseek-llm", "ab cd, 中文12\n"),
            (List{"ab", " cd", ",", " ", "中文", "12", "\n"}));
  EXPECT_EQ(pieces("kimi-k2", "HelloWorld你好ABCs 1234"),
            (List{"Hello", "World", "你好", "ABCs", " ", "123", "4"}));
  EXPECT_EQ(pieces("gpt-2", ""), List{});
}

// The tokenizer.json form folds U+017F to s; GGUF's does not.
TEST(PreTokenizer, ContractionsFold) {
  EXPECT_EQ(split(std::string(patterns::kLlamaBpeHf), SplitBehavior::isolated, "it'\u017Fx"),
            (List{"it", "'\u017F", "x"}));
  EXPECT_EQ(pieces("llama-bpe", "it'\u017Fx"), (List{"it", "'\u017Fx"}));
}

TEST(PreTokenizer, UnknownNameListsTheKnown) {
  const std::string error = error_of([] { pre_tokenizer_by_name("tekken"); });
  EXPECT_NE(error.find("\"tekken\""), error.npos);
  EXPECT_NE(error.find("deepseek-v3"), error.npos);
}

// The hand-written scanners against the same patterns run by PCRE2 (\s as published).
TEST(PreTokenizer, ScannersEqualTheirPatterns) {
  std::uint32_t state = 1;
  const List atoms = {"a",    "B",  "é", "'s",   "'LL", "'",  " ",      "  ",     "\n",
                      "\r\n", "\t", "1", "٣",    "½",   "中", "ひ",     "。",     "\u0301",
                      "!",    "$",  "😀", "\x01", "ǅ",   "ʰ",  "\u3000", "\u180E", "_"};
  for (const std::string_view pattern :
       {patterns::kGpt2, patterns::kLlamaBpe, patterns::kLlamaBpeHf, patterns::kQwen2,
        patterns::kQwen2Hf, patterns::kDeepseekNumbers, patterns::kDeepseekCjk,
        patterns::kDeepseekWords, patterns::kSingleNumber, patterns::kNumberRuns,
        patterns::kTrailingSpace}) {
    const auto known = make_known_step(pattern);
    // The same pattern in a group is not recognized, so PCRE2 runs it.
    const auto regex = make_regex_step("(?:" + std::string(pattern) + ")", SplitBehavior::isolated,
                                       SplitInvert::no);
    for (int i = 0; i < 2000; ++i) {
      std::string text;
      for (int j = 0; j < 8; ++j) {
        state = state * 1664525 + 1013904223;
        text += atoms[(state >> 8) % atoms.size()];
      }
      Pieces a, b;
      known->split(text, a);
      regex->split(text, b);
      ASSERT_EQ(a.list, b.list) << pattern << " on " << text;
    }
  }
}

TEST(PreTokenizer, Behaviors) {
  EXPECT_EQ(split("-", SplitBehavior::isolated, "a--b-"), (List{"a", "-", "-", "b", "-"}));
  EXPECT_EQ(split("-", SplitBehavior::removed, "a--b-"), (List{"a", "b"}));
  EXPECT_EQ(split("-", SplitBehavior::merged_with_previous, "a--b-"), (List{"a-", "-", "b-"}));
  EXPECT_EQ(split("-", SplitBehavior::merged_with_next, "a--b-"), (List{"a", "-", "-b", "-"}));
  EXPECT_EQ(split("-", SplitBehavior::contiguous, "a--b-"), (List{"a", "--", "b", "-"}));
  EXPECT_EQ(split("-", SplitBehavior::removed, "a--b-", SplitInvert::yes), (List{"-", "-", "-"}));
}

TEST(SplitRegex, TranslatesOniguruma) {
  EXPECT_EQ(translate_pattern(R"(\p{Han}\p{^Lu}\P{L}a{,3}\h)"),
            R"(\p{sc:Han}\P{Lu}\P{L}a{0,3}[0-9A-Fa-f])");
  for (const char* pattern : {"[a[b]]", "[a&&b]", R"(\bx)", R"((a)\1)", "a{2}+", "(?m:a)",
                              "(*FAIL)", R"(\p{L)", "[a", R"(\X)"}) {
    EXPECT_NE(error_of([&] { SplitRegex{pattern}; }), "") << pattern;
  }
  EXPECT_EQ(split(R"(\s+)", SplitBehavior::isolated, "a\u180Eb\u0085c"),
            (List{"a\u180Eb", "\u0085", "c"}));
  EXPECT_EQ(split("^x|y$", SplitBehavior::isolated, "xx\nxy\n"),
            (List{"x", "x\n", "x", "y", "\n"}));
}

TEST(SplitRegex, EmptyMatchesAndLongOnes) {
  EXPECT_EQ(split("", SplitBehavior::isolated, "aé"), (List{"a", "é"}));
  EXPECT_EQ(split("b*", SplitBehavior::isolated, "abba"), (List{"a", "bb", "a"}));
  // Needs a stack for every character in JIT code: it must end in a match or in an Error.
  const std::string text(3000000, 'a');
  const std::string error = error_of(
      [&] { EXPECT_EQ(split("(?:(?=a)a)+b?", SplitBehavior::isolated, text).size(), 1u); });
  EXPECT_TRUE(error.empty() || error.find("budget") != error.npos) << error;
}

TEST(SplitRegex, BacktrackingIsBounded) {
  const std::string text(40, 'a');
  EXPECT_NE(error_of([&] { split("(a+)+(?:b|c)", SplitBehavior::isolated, text); }).find("budget"),
            std::string::npos);
}

// Texts on which a careless splitter takes quadratic time.
TEST(PreTokenizer, LongRunsAreLinear) {
  for (const char* pre : {"gpt-2", "llama-bpe", "qwen2", "smollm", "deepseek-v3", "deepseek-llm",
                          "deepseek-coder", "kimi-k2"}) {
    const auto tokenizer = pre_tokenizer_by_name(pre);
    for (const char* unit : {" ", "\n", " \n", "a", "A", "中", "1", "!", "\u0301", "\x01", "ǅ"}) {
      std::string text;
      while (text.size() < 200000) text += unit;
      for (const char* end : {"", "1", "x", "!"}) {
        Pieces sink;
        tokenizer.split(text + end, sink);
        std::size_t total = 0;
        for (const std::string& p : sink.list) total += p.size();
        ASSERT_EQ(total, text.size() + std::string_view(end).size()) << pre;
      }
    }
  }
}

}  // namespace
}  // namespace nautile
