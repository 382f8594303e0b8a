// tokenizer_files_test.cpp — released tokenizers: known ids, the oracle's cases, control tokens,
// mutated files.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <thread>

#include "text/detokenizer.h"
#include "text/tokenizer_testing.h"

namespace nautile {
namespace {

using Ids = std::vector<TokenId>;

Tokenizer from_folder(const std::string& folder) {
  return Tokenizer::from_json(read_file(folder + "/tokenizer.json"),
                              read_file(folder + "/tokenizer_config.json"));
}

TEST(TokenizerFiles, DeepseekV3) {
  const std::string folder = tokenizer_folder("deepseek_v3");
  if (folder.empty()) GTEST_SKIP() << "no shared tokenizers (NAUTILE_TEST_DATA)";
  const Tokenizer t = from_folder(folder);
  EXPECT_EQ(t.bos(), 0);
  EXPECT_EQ(t.eos(), 1);
  EXPECT_TRUE(t.wants_bos());
  EXPECT_EQ(t.id_of("<｜User｜>"), 128803);
  EXPECT_EQ(t.id_of("<｜Assistant｜>"), 128804);
  EXPECT_EQ(t.vocab_size(), 128815);
  EXPECT_EQ(t.stop_ids(), (Ids{1, 128803, 128805}));
  EXPECT_EQ(t.encode("<｜User｜>Hi", EncodeMode::parse_added), (Ids{128803, 23166}));
  EXPECT_FALSE(t.is_special(128803));

  // However users spell it, no control token.
  for (const AddedToken& token : t.added_tokens()) {
    for (const std::string& text : {token.content, " " + token.content + token.content + "\n"}) {
      const Ids ids = t.encode(text, EncodeMode::plain);
      for (const TokenId id : ids) ASSERT_FALSE(t.is_added(id)) << text;
      ASSERT_EQ(t.decode(ids, SkipSpecial::yes), text);
    }
  }
}

// Threads share a tokenizer whose memo of whole tokens is still empty.
TEST(TokenizerFiles, ThreadsAgree) {
  const std::string folder = tokenizer_folder("qwen3");
  if (folder.empty()) GTEST_SKIP() << "no shared tokenizers (NAUTILE_TEST_DATA)";
  const Tokenizer t = from_folder(folder);
  const std::string text = read_file("src/text/tokenizer.cpp");
  std::vector<Ids> results(4);
  std::vector<std::thread> threads;
  for (Ids& result : results) {
    threads.emplace_back([&] { result = t.encode(text, EncodeMode::plain); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const Ids& result : results) EXPECT_EQ(result, results[0]);
  EXPECT_EQ(t.decode(results[0], SkipSpecial::no), text);
}

// What the tokenizers library says; made by tools/oracle/tokenizer_oracle.py.
TEST(TokenizerFiles, OracleCases) {
  std::map<std::string, Tokenizer> loaded;
  std::ifstream file("tests/data/tokenizer_cases.jsonl");
  ASSERT_TRUE(file.good()) << "run from the source root";
  int count = 0;
  for (std::string line; std::getline(file, line);) {
    const Json c = Json::parse(line);
    const std::string name = c["tokenizer"], text = c["text"];
    if (tokenizer_folder(name).empty()) GTEST_SKIP() << "no shared tokenizers (NAUTILE_TEST_DATA)";
    if (!loaded.count(name)) loaded.emplace(name, from_folder(tokenizer_folder(name)));
    const Tokenizer& t = loaded.at(name);
    const Ids ids = t.encode(text, EncodeMode::parse_added);
    ASSERT_EQ(ids, c["ids"].get<Ids>()) << name << ": " << text;
    const Ids special = t.encode(text, EncodeMode::parse_added, AddSpecial::yes);
    EXPECT_EQ(special.size() - ids.size(), c["prefix"].get<std::size_t>());
    EXPECT_EQ(t.decode(ids, SkipSpecial::no), c["decoded"].get<std::string>());
    EXPECT_EQ(t.decode(ids, SkipSpecial::yes), c["skipped"].get<std::string>());
    ++count;
  }
  EXPECT_GE(count, 400);
}

// Damaged tokenizer files: an Error or a tokenizer that works, never anything else.
TEST(TokenizerFiles, SurvivesMutations) {
  Json base = small_tokenizer();
  base["normalizer"] = {{"type", "Sequence"}, {"normalizers", {{{"type", "NFC"}}}}};
  base["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers",
       {{{"type", "Split"},
         {"pattern", {{"Regex", R"([a-z]+|\s?\p{L}{1,3}(?!\S)|[^\s]+)"}}},
         {"behavior", "Isolated"},
         {"invert", false}},
        {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}};
  const std::string text = base.dump();
  std::uint32_t state = 7;
  const auto draw = [&](std::size_t n) {
    state = state * 1664525 + 1013904223;
    return (state >> 4) % n;
  };
  const std::vector<std::string> inserts = {"[",       "]",
                                            "{",       "}",
                                            "\"",      ",",
                                            "-1",      "1e99",
                                            "null",    "9999999999999999999",
                                            "\\ud800", "\xFF",
                                            "true",    "{\"type\":\"Sequence\"}"};
  int good = 0;
  for (int i = 0; i < 5000; ++i) {
    std::string copy = text;
    for (std::size_t n = 1 + draw(3); n > 0; --n) {
      // The vocabulary is most of the file; aim at its ends as often.
      const std::size_t at = draw(2) ? draw(copy.size())
                             : draw(2)
                                 ? draw(std::min<std::size_t>(900, copy.size()))
                                 : copy.size() - 1 - draw(std::min<std::size_t>(300, copy.size()));
      switch (draw(4)) {
        case 0:
          copy[at] = static_cast<char>(draw(256));
          break;
        case 1:
          copy.erase(at, 1 + draw(8));
          break;
        case 2:
          copy.insert(at, inserts[draw(inserts.size())]);
          break;
        default:
          copy.insert(at, copy.substr(draw(copy.size()), draw(40)));
          break;
      }
      if (copy.empty()) copy = "x";
    }
    try {
      const Tokenizer t = Tokenizer::from_json(copy, "");
      const Ids ids = t.encode("ab <s>abc é中😀\n 12", EncodeMode::parse_added, AddSpecial::yes);
      Detokenizer d(t, SkipSpecial::no);
      EXPECT_EQ(d.feed(ids) + d.flush(), t.decode(ids, SkipSpecial::no));
      t.encode("ab <s>abc é中😀\n 12", EncodeMode::plain);
      ++good;
    } catch (const Error& e) {
      EXPECT_LT(std::string(e.what()).size(), 2000u);
    }
  }
  EXPECT_GT(good, 100);
}

}  // namespace
}  // namespace nautile
