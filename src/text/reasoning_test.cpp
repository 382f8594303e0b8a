// reasoning_test.cpp — the splitter under every cut of the stream.
#include "text/reasoning.h"

#include <gtest/gtest.h>

#include <random>

namespace nautile {
namespace {

struct Split {
  std::string reasoning, content;
  bool operator==(const Split&) const = default;
};

// Feeds the text in pieces of at most `step` bytes.
Split split(ReasoningMode mode, std::string_view text, std::size_t step) {
  ReasoningSplitter splitter(mode);
  Split result;
  const auto take = [&](const ReasoningSplitter::Piece& piece) {
    result.reasoning += piece.reasoning;
    result.content += piece.content;
  };
  for (std::size_t at = 0; at < text.size(); at += step) take(splitter.push(text.substr(at, step)));
  take(splitter.finish());
  return result;
}

struct Case {
  ReasoningMode mode;
  const char* text;
  Split expected;
};

TEST(Reasoning, SplitsTheSameHoweverTheTextArrives) {
  const Case cases[] = {
      {ReasoningMode::none, "a <think>b</think> c", {"", "a <think>b</think> c"}},
      {ReasoningMode::inside, "why\n</think>\n\nbecause", {"why\n", "\n\nbecause"}},
      {ReasoningMode::inside, "never ends", {"never ends", ""}},
      {ReasoningMode::inside, "<think>again</think>x", {"again", "x"}},
      {ReasoningMode::inside, "\n <think>again</think>x", {"\n again", "x"}},
      {ReasoningMode::inside, "</think>x", {"", "x"}},
      {ReasoningMode::inside, "a</thin", {"a</thin", ""}},
      {ReasoningMode::inside, "a</</think></think>b", {"a</", "</think>b"}},
      {ReasoningMode::inside, "a < b </thinking></think>c", {"a < b </thinking>", "c"}},
      {ReasoningMode::inside, "<thin", {"<thin", ""}},
      {ReasoningMode::inside, "", {"", ""}},
      {ReasoningMode::may_open, "<think>\nr\n</think>\n\nc", {"\nr\n", "\n\nc"}},
      {ReasoningMode::may_open, "\n<think>r</think>c", {"\nr", "c"}},
      {ReasoningMode::may_open, "plain <think>r</think>", {"", "plain <think>r</think>"}},
      {ReasoningMode::may_open, "<thinner", {"", "<thinner"}},
      {ReasoningMode::may_open, "  ", {"", "  "}},
      {ReasoningMode::may_open, "<think>never", {"never", ""}},
  };
  for (const Case& c : cases) {
    for (const std::size_t step : {1u, 2u, 3u, 5u, 100u}) {
      const Split got = split(c.mode, c.text, step);
      EXPECT_EQ(got.reasoning, c.expected.reasoning) << c.text << " by " << step;
      EXPECT_EQ(got.content, c.expected.content) << c.text << " by " << step;
    }
  }
}

TEST(Reasoning, RandomTextsSplitTheSameInAnyPieces) {
  std::mt19937 rng(7);
  const char* words[] = {"<think>", "</think>", "<", "/", "think>", " ", "\n", "x", "</thi"};
  for (int i = 0; i < 2000; ++i) {
    std::string text;
    for (int n = static_cast<int>(rng() % 12); n > 0; --n) text += words[rng() % std::size(words)];
    for (const auto mode : {ReasoningMode::none, ReasoningMode::inside, ReasoningMode::may_open}) {
      const Split whole = split(mode, text, 1000);
      EXPECT_EQ(split(mode, text, 1 + rng() % 4), whole) << text;
    }
  }
}

TEST(Reasoning, HoldsBackOnlyWhatMayBeATag) {
  ReasoningSplitter splitter(ReasoningMode::inside);
  EXPECT_EQ(splitter.push("abc <").reasoning, "abc ");
  EXPECT_EQ(splitter.push("b").reasoning, "<b");
  EXPECT_TRUE(splitter.in_reasoning());
  EXPECT_EQ(splitter.push("</think").reasoning, "");
  const auto piece = splitter.push(">answer");
  EXPECT_EQ(piece.reasoning, "");
  EXPECT_EQ(piece.content, "answer");
  EXPECT_FALSE(splitter.in_reasoning());
}

}  // namespace
}  // namespace nautile
