// unicode_test.cpp — properties at known code points, UTF-8 repair, normal forms.
#include "text/unicode.h"

#include <gtest/gtest.h>

#include "text/unicode_normalizer.h"

namespace nautile {
namespace {

unsigned bits(char32_t c) {
  return CharTable::get().bits(c);
}

TEST(Unicode, KnowsCategories) {
  EXPECT_EQ(bits('a'), kLetter | kLower | kWord);
  EXPECT_EQ(bits('Z'), kLetter | kUpperTitle | kWord);
  EXPECT_EQ(bits('7'), kNumber | kWord);
  EXPECT_EQ(bits('_'), kPunctuation | kWord);
  EXPECT_EQ(bits('+'), kSymbol);
  EXPECT_EQ(bits('\n'), kSpace | kNewline);
  EXPECT_EQ(bits(0x85), kSpace);
  EXPECT_EQ(bits(0x180E), 0u);  // white space before Unicode 6.3
  EXPECT_EQ(bits(0x301) & (kMark | kNfcCare), kMark | kNfcCare);
  EXPECT_TRUE(bits(0x4E2D) & kHan && bits(0x4E2D) & kLetter && bits(0x4E2D) & kCjkRun);
  EXPECT_TRUE(bits(0x10D4A) & kLetter);  // of Unicode 16
  EXPECT_EQ(bits(0x10FFFF), 0u);
}

TEST(Unicode, RepairsMaximalSubparts) {
  const auto fixed = [](std::string_view s) { return replace_invalid_utf8(s); };
  const std::string bad = "\uFFFD";
  EXPECT_EQ(fixed("héllo 中😀"), "héllo 中😀");
  EXPECT_EQ(fixed("a\xFFz"), "a" + bad + "z");
  EXPECT_EQ(fixed("\xC0\x80"), bad + bad);            // overlong
  EXPECT_EQ(fixed("\xED\xA0\x80"), bad + bad + bad);  // surrogate
  EXPECT_EQ(fixed("\xF0\x9F\x98"), bad);              // one truncated character
  EXPECT_EQ(fixed("\xF0\x9F\x98x"), bad + "x");
  EXPECT_EQ(fixed("\xF4\x90\x80\x80"), bad + bad + bad + bad);
  EXPECT_EQ(fixed("\xE4\xB8\xE4\xB8\xAD"), bad + "中");
}

TEST(Unicode, AsciiBlocksThenOthers) {
  EXPECT_EQ(valid_utf8_prefix("0123456789é0123456789\xFF"), 22u);
  EXPECT_EQ(valid_utf8_prefix(""), 0u);
}

std::string nfc(std::string_view text) {
  const auto step = make_form_step(UnicodeForm::nfc);
  std::string out;
  return step->apply(text, out) ? out : std::string(text);
}

TEST(UnicodeNormalizer, ComposesWhereNeeded) {
  EXPECT_EQ(nfc("e\u0301a"), "\u00E9a");
  EXPECT_EQ(nfc("xxa\u0323\u0308yy"), "xx\u1EA1\u0308yy");
  EXPECT_EQ(nfc("\u1112\u1161\u11AB"), "\uD55C");
  EXPECT_EQ(nfc("\u212B\u2126"), "\u00C5\u03A9");
  EXPECT_EQ(nfc("\u0344"), "\u0308\u0301");
  EXPECT_EQ(nfc("plain é 中文 😀"), "plain é 中文 😀");
}

// U+0898 is a mark of Unicode 14 and U+11938 composes since 13: to the library, plain characters.
TEST(UnicodeNormalizer, NewerMarksStayWhereTheyAre) {
  EXPECT_EQ(nfc("a\u0898\u0301"), "a\u0898\u0301");
  EXPECT_EQ(nfc("a\u0345\u0898"), "a\u0345\u0898");
  EXPECT_EQ(nfc("\U00011935\U00011930"), "\U00011935\U00011930");
}

TEST(UnicodeNormalizer, LongRunsOfMarksAreNotQuadratic) {
  std::string text = "a";
  for (int i = 0; i < 300000; ++i) text += i % 2 ? "\u0323" : "\u0301";
  const std::string out = nfc(text);
  EXPECT_EQ(out.size(), text.size());  // a and the first U+0323 become ạ, as long as both
}

TEST(UnicodeNormalizer, SmallSteps) {
  Normalizer n;
  n.add(make_strip_step(StripSides::both));
  n.add(make_prepend_step("_"));
  n.add(make_replace_string_step(" ", "__"));
  n.add(make_replace_regex_step("[0-9]+", "#"));
  n.add(make_lowercase_step());
  std::string storage;
  EXPECT_EQ(n.normalize("  A b 12\u3000", storage), "_a__b__#");
  EXPECT_EQ(n.normalize("", storage), "");
}

}  // namespace
}  // namespace nautile
