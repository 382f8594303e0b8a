// stop_strings_test.cpp — every cut of a text gives what the whole gives; nothing of a match leaks.
#include "engine/stop_strings.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "base/rng.h"

namespace nautile::engine {
namespace {

struct Outcome {
  std::string text;
  std::string matched;
  bool operator==(const Outcome&) const = default;
};

// What the header promises, by brute force.
Outcome expected(const std::string& text, const std::vector<std::string>& stops) {
  for (std::size_t end = 1; end <= text.size(); ++end) {
    std::string best;
    for (const std::string& stop : stops) {
      if (stop.size() <= end && text.compare(end - stop.size(), stop.size(), stop) == 0 &&
          stop.size() > best.size()) {
        best = stop;
      }
    }
    if (!best.empty()) return {text.substr(0, end - best.size()), best};
  }
  return {text, ""};
}

TEST(StopStrings, HoldsBackOnlyWhatMayBecomeAMatch) {
  StopStrings stops({"</s>", "User:"});
  EXPECT_EQ(stops.feed("hello <"), "hello ");
  EXPECT_EQ(stops.feed("/"), "");
  EXPECT_EQ(stops.feed("b> Us"), "</b> ");
  EXPECT_EQ(stops.feed("er"), "");
  EXPECT_FALSE(stops.stopped());
  EXPECT_EQ(stops.feed(": never seen"), "");
  EXPECT_TRUE(stops.stopped());
  EXPECT_EQ(stops.matched(), "User:");
  EXPECT_EQ(stops.feed("more"), "");
  EXPECT_EQ(stops.flush(), "");
}

TEST(StopStrings, FlushLetsOutAnUnfinishedPart) {
  StopStrings stops({"END"});
  EXPECT_EQ(stops.feed("the EN"), "the ");
  EXPECT_EQ(stops.flush(), "EN");
  EXPECT_EQ(stops.feed("D"), "D");  // the part before the flush is gone
}

TEST(StopStrings, FirstEndWinsThenTheLongest) {
  StopStrings first({"abcd", "bc"});
  EXPECT_EQ(first.feed("xabcd"), "xa");
  EXPECT_EQ(first.matched(), "bc");
  StopStrings longest({"c", "abc", "bc"});
  EXPECT_EQ(longest.feed("xabc"), "x");
  EXPECT_EQ(longest.matched(), "abc");
}

TEST(StopStrings, WithoutStringsEverythingPasses) {
  StopStrings none({});
  EXPECT_EQ(none.feed("text"), "text");
  EXPECT_EQ(none.flush(), "");
}

TEST(StopStrings, ResetForgetsTheText) {
  StopStrings stops({"ab"});
  EXPECT_EQ(stops.feed("xab"), "x");
  stops.reset();
  EXPECT_FALSE(stops.stopped());
  EXPECT_EQ(stops.feed("b"), "b");
}

TEST(StopStrings, RefusesWhatCannotWork) {
  EXPECT_THROW(StopStrings({""}), Error);
  EXPECT_THROW(StopStrings({"\x82x"}), Error);
}

TEST(StopStrings, WholeCharactersStayWhole) {
  StopStrings stops({"€uro"});
  EXPECT_EQ(stops.feed("1 €"), "1 ");
  EXPECT_EQ(stops.feed("£"), "€£");
}

TEST(StopStrings, EqualsBruteForceForEveryCut) {
  for (std::uint64_t trial = 0; trial < 2000; ++trial) {
    std::uint64_t draw = 0;
    const auto below = [&](std::uint32_t n) { return philox(trial, draw++, 1)[0] % n; };
    const auto word = [&](std::uint32_t longest) {
      std::string text(1 + below(longest), 'a');
      for (char& c : text) c = static_cast<char>('a' + below(2));
      return text;
    };
    std::vector<std::string> stops;
    for (std::uint32_t n = 1 + below(3); n > 0; --n) stops.push_back(word(6));
    const std::string text = word(40);
    StopStrings matcher(stops);
    Outcome got;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t size = 1 + below(5);
      got.text += matcher.feed(text.substr(at, size));
      at += size;
    }
    got.text += matcher.flush();
    got.matched = matcher.matched();
    ASSERT_EQ(got, expected(text, stops)) << "trial " << trial << ", text " << text;
  }
}

}  // namespace
}  // namespace nautile::engine
