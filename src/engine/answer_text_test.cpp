// answer_text_test.cpp — which tokens are told with which text.
#include "engine/answer_text.h"

#include <gtest/gtest.h>

#include "engine/engine_testing.h"

namespace nautile::engine {
namespace {

constexpr TokenId id(char c) {
  return c - ' ';
}
constexpr TokenId kE9[] = {96, 97}, kEuro[] = {98, 99, 100};

struct Said {
  std::string text;
  std::size_t tokens = 0;
  bool operator==(const Said&) const = default;
};
Said take(AnswerText& text) {
  const AnswerText::Piece piece = text.take();
  return {piece.text, piece.tokens.size()};
}

class AnswerTextTest : public testing::Test {
 protected:
  Tokenizer tokenizer_ = tiny_tokenizer();
  Said feed(AnswerText& text, TokenId token) {
    text.feed({token, 0, {}}, AnswerText::Stops::watched);
    return take(text);
  }
};

TEST_F(AnswerTextTest, CharactersComeWholeWithAllTheirTokens) {
  AnswerText text(tokenizer_, SkipSpecial::yes, {});
  EXPECT_EQ(feed(text, id('a')), (Said{"a", 1}));
  EXPECT_EQ(feed(text, kE9[0]), (Said{"", 0}));
  EXPECT_EQ(feed(text, kE9[1]), (Said{"\u00e9", 2}));
  EXPECT_EQ(feed(text, kEuro[0]), (Said{"", 0}));
  EXPECT_EQ(feed(text, kEuro[1]), (Said{"", 0}));
  text.end();
  EXPECT_EQ(take(text), (Said{"\uFFFD", 2}));
}

TEST_F(AnswerTextTest, TokensWithoutTextGoWithTheNextOrTheEnd) {
  AnswerText text(tokenizer_, SkipSpecial::yes, {});
  EXPECT_EQ(feed(text, kTinyEnd), (Said{"", 0}));
  EXPECT_EQ(feed(text, id('b')), (Said{"b", 2}));
  EXPECT_EQ(feed(text, kTinyEnd), (Said{"", 0}));
  text.end();
  EXPECT_EQ(take(text), (Said{"", 1}));
}

TEST_F(AnswerTextTest, HeldTextComesLaterOrNever) {
  AnswerText text(tokenizer_, SkipSpecial::yes, {"abc"});
  EXPECT_EQ(feed(text, id('a')), (Said{"", 0}));
  EXPECT_EQ(feed(text, id('b')), (Said{"", 0}));
  EXPECT_EQ(feed(text, id('x')), (Said{"abx", 3}));
  EXPECT_EQ(feed(text, id('y')), (Said{"y", 1}));
  EXPECT_EQ(feed(text, id('a')), (Said{"", 0}));
  EXPECT_EQ(feed(text, id('b')), (Said{"", 0}));
  EXPECT_EQ(feed(text, id('c')), (Said{"", 0}));
  EXPECT_TRUE(text.stopped());
  text.end();
  EXPECT_EQ(take(text), (Said{"", 0}));
}

// "abcd" is one token; the stop string begins inside of it.
TEST_F(AnswerTextTest, ATokenThatBeginsBeforeAStopStringIsTold) {
  AnswerText text(tokenizer_, SkipSpecial::yes, {"cd!"});
  const TokenId merged = tokenizer_.encode("abcd", EncodeMode::plain).at(0);
  EXPECT_EQ(feed(text, merged), (Said{"ab", 1}));
  EXPECT_EQ(feed(text, id('!')), (Said{"", 0}));
  text.end();
  EXPECT_EQ(take(text), (Said{"", 0}));
  EXPECT_EQ(text.matched(), "cd!");
}

}  // namespace
}  // namespace nautile::engine
