#include "align/samples.h"

#include <gtest/gtest.h>

#include "align/align_testing.h"
#include "base/error.h"

namespace nautile::align {
namespace {

using Json = nlohmann::ordered_json;

class Samples : public ::testing::Test {
 protected:
  std::string learnt(const train::ChatSample& sample) const {
    std::string text;
    for (const train::TokenRun& run : sample.runs) {
      text += "[" +
              tokenizer_.decode(std::span(sample.tokens).subspan(run.begin, run.end - run.begin),
                                SkipSpecial::no) +
              "]";
    }
    return text;
  }
  std::string message_of(const char* line, bool pair = false) const {
    try {
      pair ? encode_preference(encoder_, Json::parse(line))
           : encode_conversation(encoder_, Json::parse(line));
    } catch (const Error& error) {
      return error.message();
    }
    return "";
  }
  std::vector<SampleGroup> pair(const char* line) const {
    return encode_preference(encoder_, Json::parse(line));
  }

  Tokenizer tokenizer_ = testing::byte_tokenizer();
  std::unique_ptr<ChatFormat> format_ = testing::line_format();
  ChatEncoder encoder_{tokenizer_, *format_, tool_format_named("generic"), tool_words(*format_)};
};

TEST_F(Samples, LearnWhatTheAssistantSaysWithItsEnd) {
  const auto groups =
      encode_conversation(encoder_, Json::parse(R"({"messages": [{"role": "system", "content": "s"},
        {"role": "user", "content": "one"}, {"role": "assistant", "content": "two"},
        {"role": "user", "content": "three"},
        {"role": "assistant", "content": "four"}]})"));
  ASSERT_EQ(groups.size(), 1u);
  ASSERT_EQ(groups[0].size(), 1u);
  EXPECT_EQ(learnt(groups[0][0]), "[two</s>][four</s>]");
  EXPECT_EQ(tokenizer_.decode(groups[0][0].tokens, SkipSpecial::no),
            "<s>system:s\nuser:one\nassistant:two</s>user:three\nassistant:four</s>");
}

// What the chat format has no words for stands in the text, as it does when the model is served.
TEST_F(Samples, LearnCallsOfToolsAsTheyAreServed) {
  const auto groups = encode_conversation(encoder_, Json::parse(R"({
    "messages": [{"role": "user", "content": "weather?"},
      {"role": "assistant", "content": null, "tool_calls": [{"id": "1", "type": "function",
        "function": {"name": "look", "arguments": "{\"place\": \"here\"}"}}]},
      {"role": "tool", "tool_call_id": "1", "content": "sunny"},
      {"role": "assistant", "content": "It is sunny."}],
    "tools": [{"type": "function", "function": {"name": "look",
      "parameters": {"type": "object", "properties": {"place": {"type": "string"}}}}}]})"));
  ASSERT_EQ(groups.size(), 1u);
  EXPECT_EQ(learnt(groups[0][0]),
            "[<tool_call>\n{\"name\": \"look\", \"arguments\": {\"place\": \"here\"}}\n</tool_call>"
            "</s>][It is sunny.</s>]");
  const std::string text = tokenizer_.decode(groups[0][0].tokens, SkipSpecial::no);
  EXPECT_NE(text.find("\"properties\""), text.npos) << text;  // the definitions
  EXPECT_NE(text.find("sunny\n"), text.npos) << text;
}

TEST_F(Samples, NameWhatIsWrongWithAConversation) {
  const auto says = [&](const char* line, const char* part) {
    const std::string message = message_of(line);
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  says(R"({"text": 1})", "\"messages\"");
  says(R"({"messages": 1})", "messages: expected a list");
  says(R"({"messages": [{"role": "bot", "content": ""}]})", "messages[0].role: 'bot'");
  says(R"({"messages": [{"content": ""}]})", "messages[0].role");
  says(R"({"messages": [{"role": "user", "contnet": "x"}]})",
       "messages[0].content: expected a text");
  says(R"({"messages": [{"role": "user", "content": null}]})", "found null");
  says(R"({"messages": [{"role": "user", "content": "x"}]})", "no message is of the assistant");
  says(R"({"messages": []})", "no message is of the assistant");
  says(R"([1])", "conversation");
}

TEST_F(Samples, ReadThePreferencesThatTrlReads) {
  for (const char* line :
       {R"({"prompt": "q", "chosen": "yes", "rejected": "no"})",
        R"({"prompt": [{"role": "user", "content": "q"}],
            "chosen": [{"role": "assistant", "content": "yes"}],
            "rejected": [{"role": "assistant", "content": "no"}]})",
        R"({"chosen": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "yes"}],
            "rejected": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "no"}]})"}) {
    const auto groups = pair(line);
    ASSERT_EQ(groups.size(), 1u) << line;
    ASSERT_EQ(groups[0].size(), 2u) << line;
    EXPECT_EQ(learnt(groups[0][0]), "[yes</s>]") << line;
    EXPECT_EQ(learnt(groups[0][1]), "[no</s>]") << line;
    EXPECT_EQ(tokenizer_.decode(groups[0][1].tokens, SkipSpecial::no),
              "<s>user:q\nassistant:no</s>");
  }
}

TEST_F(Samples, LearnOnlyTheAnswerOfALongPrompt) {
  const auto groups = pair(R"({"prompt": [{"role": "user", "content": "a"},
      {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}],
      "chosen": "yes", "rejected": "no"})");
  EXPECT_EQ(learnt(groups[0][0]), "[yes</s>]");
}

TEST_F(Samples, NameWhatIsWrongWithAPreference) {
  const auto says = [&](const char* line, const char* part) {
    const std::string message = message_of(line, true);
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  says(R"({"prompt": "q", "chosen": "yes"})", "\"rejected\"");
  says(R"({"chosen": "yes", "rejected": "no"})", "\"prompt\"");
  says(R"({"prompt": "q", "chosen": "same", "rejected": "same"})", "the same");
  says(R"({"prompt": "q", "chosen": 1, "rejected": "no"})", "chosen: expected a text or a list");
  says(R"({"prompt": "q", "chosen": [], "rejected": "no"})", "chosen: expected");
  says(R"({"prompt": "q", "chosen": [{"role": "user", "content": "x"}], "rejected": "no"})",
       "chosen: no message is of the assistant");
}

}  // namespace
}  // namespace nautile::align
