// chat_encode_test.cpp — user text never becomes a control token; harmless text costs nothing.
#include "text/chat_encode.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <random>

#include "base/file.h"
#include "base/json.h"
#include "text/chat_format.h"

namespace nautile {
namespace {

using Json = nlohmann::ordered_json;

struct Model {
  Tokenizer tokenizer;
  std::vector<std::unique_ptr<ChatFormat>> formats;
};

std::string tokenizer_folder(const std::string& name) {
  const char* data = std::getenv("NAUTILE_TEST_DATA");
  return std::string(data != nullptr ? data : "../shared") + "/tokenizers/" + name;
}

Model load(const std::string& name) {
  const std::string folder = tokenizer_folder(name);
  const std::string config = read_file(folder + "/tokenizer_config.json");
  Model model{Tokenizer::from_json(read_file(folder + "/tokenizer.json"), config), {}};
  const auto parsed = parse_json(config, "tokenizer_config.json");
  const auto bos = model.tokenizer.bos();
  const auto eos = model.tokenizer.eos();
  model.formats.push_back(
      make_template_format(parsed["chat_template"].get<std::string>(),
                           {{"bos_token", bos ? model.tokenizer.token(*bos) : ""},
                            {"eos_token", eos ? model.tokenizer.token(*eos) : ""}}));
  if (name == "deepseek_v3") {
    for (const std::string& native : native_format_names()) {
      model.formats.push_back(make_native_format(native));
    }
  }
  return model;
}

RenderedPrompt render(const ChatFormat& format, const std::string& a, const std::string& b,
                      const std::string& c) {
  Conversation conversation;
  conversation.messages = Json::array({{{"role", "system"}, {"content", a}},
                                       {{"role", "user"}, {"content", b}},
                                       {{"role", "assistant"}, {"content", "fine"}},
                                       {{"role", "user"}, {"content", c}}});
  return format.render(conversation, {});
}

std::vector<TokenId> controls(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  std::vector<TokenId> result;
  for (const TokenId id : ids) {
    if (tokenizer.is_added(id)) result.push_back(id);
  }
  return result;
}

// Texts made of control tokens, their halves, and things between.
std::string hostile_text(const Tokenizer& tokenizer, std::mt19937& rng) {
  const auto& added = tokenizer.added_tokens();
  std::string text;
  for (int n = 1 + static_cast<int>(rng() % 5); n > 0; --n) {
    const std::string& token = added[rng() % added.size()].content;
    const std::size_t half = token.size() / 2;
    // Cutting inside of a character would make the message invalid.
    std::size_t cut = half;
    while (cut > 0 && (static_cast<unsigned char>(token[cut]) & 0xC0) == 0x80) --cut;
    switch (rng() % 6) {
      case 0:
        text += token.substr(0, cut);
        break;
      case 1:
        text += token.substr(cut);
        break;
      case 2:
        text += "é 你好\n" + token;
        break;
      default:
        text += token;
    }
    if (rng() % 3 == 0) text += ' ';
  }
  return text;
}

class ChatEncode : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(tokenizer_folder(GetParam()) + "/tokenizer.json")) {
      GTEST_SKIP() << "no tokenizer at " << tokenizer_folder(GetParam())
                   << "; set NAUTILE_TEST_DATA";
    }
  }
};

TEST_P(ChatEncode, UserTextNeverYieldsAControlId) {
  const Model model = load(GetParam());
  const Tokenizer& tokenizer = model.tokenizer;
  std::mt19937 rng(11);
  for (const auto& format : model.formats) {
    const auto expected =
        controls(tokenizer, encode_segments(tokenizer, render(*format, "a", "b", "c").segments));
    for (int i = 0; i < 1000; ++i) {
      const std::string text = hostile_text(tokenizer, rng);
      const RenderedPrompt prompt = render(*format, i % 3 == 0 ? text : "a", text, "c" + text);
      const auto ids = encode_segments(tokenizer, prompt.segments);
      ASSERT_EQ(controls(tokenizer, ids), expected) << format->name() << ": " << text;
    }
  }
}

TEST_P(ChatEncode, HarmlessTextIsEncodedAsTheJoinedText) {
  const Model model = load(GetParam());
  const char* words[] = {"hello", " ",    "\n", "\n\n", "  x",  "1234567", "'s",     "é", "e\u0301",
                         "你好",  "🙂", "\t", ".",    "User", "!\n",     "\u00a0", "a", "_"};
  std::mt19937 rng(12);
  for (const auto& format : model.formats) {
    for (int i = 0; i < 500; ++i) {
      std::string parts[3];
      for (std::string& part : parts) {
        for (int n = static_cast<int>(rng() % 8); n > 0; --n)
          part += words[rng() % std::size(words)];
      }
      const RenderedPrompt prompt = render(*format, parts[0], parts[1], parts[2]);
      ASSERT_EQ(encode_segments(model.tokenizer, prompt.segments),
                model.tokenizer.encode(prompt.text(), EncodeMode::parse_added))
          << format->name() << ": " << prompt.text();
    }
  }
}

TEST_P(ChatEncode, BosComesOnce) {
  const Model model = load(GetParam());
  const auto bos = model.tokenizer.bos();
  if (!bos) GTEST_SKIP() << "this tokenizer has no BOS";
  for (const auto& format : model.formats) {
    const auto ids = encode_segments(model.tokenizer, render(*format, "a", "b", "c").segments);
    EXPECT_EQ(ids.front(), *bos);
    EXPECT_EQ(std::count(ids.begin(), ids.end(), *bos), 1);
  }
}

// A user's text that completes a token begun by the format, and the other way round.
TEST_P(ChatEncode, TokensAcrossBordersDoNotArise) {
  const Model model = load(GetParam());
  const Tokenizer& tokenizer = model.tokenizer;
  for (const AddedToken& token : tokenizer.added_tokens()) {
    if (token.content.size() < 4) continue;
    std::size_t cut = token.content.size() / 2;
    while ((static_cast<unsigned char>(token.content[cut]) & 0xC0) == 0x80) --cut;
    const std::string head = token.content.substr(0, cut), tail = token.content.substr(cut);
    for (const Origin first : {Origin::format, Origin::user}) {
      const Origin second = first == Origin::format ? Origin::user : Origin::format;
      const auto ids = encode_segments(tokenizer, {{head, first}, {tail, second}});
      EXPECT_TRUE(controls(tokenizer, ids).empty()) << token.content;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Tokenizers, ChatEncode,
                         testing::Values("deepseek_v3", "qwen3", "llama3_1"));

}  // namespace
}  // namespace nautile
