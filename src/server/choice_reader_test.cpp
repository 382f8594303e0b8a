// choice_reader_test.cpp — reasoning, content and calls do not depend on how the text was cut.
#include "server/choice_reader.h"

#include <gtest/gtest.h>

#include "text/tool_format.h"

namespace nautile::server {
namespace {

// A choice's answer, as an Answer gathers it.
struct Read {
  AnswerChoice choice;
  std::int64_t reasoning_tokens = 0;
};

Read read(const std::string& text, ReasoningMode mode, const ToolFormat* tools, std::size_t piece) {
  ChoiceReader reader(0, mode, tools, {"now", "weather"});
  Answer answer;
  answer.choices.resize(1);
  const auto take = [&](const std::vector<Delta>& deltas) {
    for (const Delta& delta : deltas) {
      const bool texts = delta.kind == Delta::Kind::reasoning ||
                         delta.kind == Delta::Kind::content || delta.kind == Delta::Kind::arguments;
      EXPECT_TRUE(!texts || !delta.text.empty());
      answer.take(delta);
    }
  };
  for (std::size_t at = 0; at < text.size(); at += piece) {
    engine::TokenLogprob token;
    token.token = static_cast<TokenId>(at);
    take(reader.push(text.substr(at, piece), {token}));
  }
  take(reader.finish());
  return {answer.choices[0], reader.reasoning_tokens()};
}

TEST(ChoiceReader, ReadsTheSameHoweverItIsCut) {
  const ToolFormat& hermes = tool_format_named("hermes");
  const std::string call =
      "<tool_call>\n{\"name\": \"now\", \"arguments\": {\"a\": [1, "
      "\"</tool_call>\"]}}\n</tool_call>";
  for (const std::string& text :
       {std::string("plain text"), std::string("Hm.</think>\n\nYes."), "Hm.</think>" + call,
        "<think>Hm.</think>Now: " + call + "\n" + call, std::string("</think>"),
        std::string("a < b </thin > c"), call, std::string("<think>never ends"),
        std::string("<tool_call>\nnot a call")}) {
    for (const ReasoningMode mode :
         {ReasoningMode::none, ReasoningMode::inside, ReasoningMode::may_open}) {
      for (const ToolFormat* tools : {static_cast<const ToolFormat*>(nullptr), &hermes}) {
        const AnswerChoice whole = read(text, mode, tools, text.size()).choice;
        for (std::size_t piece = 1; piece < 9; ++piece) {
          const AnswerChoice cut = read(text, mode, tools, piece).choice;
          EXPECT_EQ(cut.reasoning, whole.reasoning) << text;
          EXPECT_EQ(cut.content, whole.content) << text;
          ASSERT_EQ(cut.calls.size(), whole.calls.size()) << text;
          for (std::size_t i = 0; i < cut.calls.size(); ++i) {
            EXPECT_EQ(cut.calls[i].name, whole.calls[i].name);
            EXPECT_EQ(cut.calls[i].arguments, whole.calls[i].arguments);
          }
        }
      }
    }
  }
}

TEST(ChoiceReader, CountsTokensOfReasoning) {
  // "Hm." and the tag: eleven bytes, each a token; "\n" before the content is the content's.
  const Read answer = read("Hm.</think>\nYes.", ReasoningMode::inside, nullptr, 1);
  EXPECT_EQ(answer.reasoning_tokens, 11);
  EXPECT_EQ(answer.choice.reasoning, "Hm.");
  EXPECT_EQ(answer.choice.content, "Yes.");
  EXPECT_EQ(answer.choice.reasoning_tokens.size(), 3U);
  EXPECT_EQ(read("Yes.", ReasoningMode::may_open, nullptr, 1).reasoning_tokens, 0);
  EXPECT_EQ(read("Yes.", ReasoningMode::may_open, nullptr, 1).choice.tokens.size(), 4U);
  EXPECT_EQ(read("<think>a</think>b", ReasoningMode::may_open, nullptr, 1).reasoning_tokens, 16);
}

}  // namespace
}  // namespace nautile::server
