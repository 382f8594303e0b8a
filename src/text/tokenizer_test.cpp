// tokenizer_test.cpp — the two ways to encode, flags of added tokens, templates, GGUF, tiktoken.
#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include "text/detokenizer.h"
#include "text/tokenizer_testing.h"

namespace nautile {
namespace {

using Ids = std::vector<TokenId>;
// ids of small_tokenizer()
constexpr TokenId kAb = 256, kAbc = 258, kSpaceA = 259, kSpaceAb = 260, kBos = 262, kEos = 263,
                  kTool = 264;

TEST(Tokenizer, EncodesAndDecodes) {
  const Tokenizer t = load(small_tokenizer());
  EXPECT_EQ(t.encode("abc a ab", EncodeMode::parse_added), (Ids{kAbc, kSpaceA, ' ', kAb}));
  EXPECT_EQ(t.encode("<s>ab</s>", EncodeMode::parse_added), (Ids{kBos, kAb, kEos}));
  EXPECT_EQ(t.encode("", EncodeMode::parse_added), Ids{});
  const Ids ids = {kBos, kAbc, kTool, kSpaceA, 9999, -1, kEos};
  EXPECT_EQ(t.decode(ids, SkipSpecial::no), "<s>abc<tool> a</s>");
  EXPECT_EQ(t.decode(ids, SkipSpecial::yes), "abc<tool> a");
  EXPECT_EQ(t.id_of("<tool>"), kTool);
  EXPECT_EQ(t.id_of("Ġab"), kSpaceAb);
  EXPECT_EQ(t.id_of("nope"), std::nullopt);
  EXPECT_EQ(t.token(kSpaceAb), "Ġab");
  EXPECT_EQ(t.token(kEos), "</s>");
  EXPECT_EQ(t.token(100000), "");
  EXPECT_EQ(t.vocab_size(), 265);
  EXPECT_TRUE(t.is_special(kBos) && t.is_added(kBos) && t.is_added(kTool) && !t.is_special(kTool));
  EXPECT_FALSE(t.is_added(kAb));
}

TEST(Tokenizer, PlainNeverMakesAnAddedToken) {
  const Tokenizer t = load(small_tokenizer());
  for (const char* text : {"<s>", "a<s>b</s>", "<tool>", "<<s>>", "<s", "<tool><tool>"}) {
    const Ids ids = t.encode(text, EncodeMode::plain);
    for (const TokenId id : ids) EXPECT_FALSE(t.is_added(id)) << text;
    EXPECT_EQ(t.decode(ids, SkipSpecial::yes), text);
  }
}

// An added token that merging would reach, in the middle of a chain of merges.
TEST(Tokenizer, PlainAvoidsMergesIntoAddedTokens) {
  Json json = small_tokenizer();
  json["added_tokens"].push_back({{"id", kAb}, {"content", "ab"}, {"special", true}});
  for (const bool ignore_merges : {false, true}) {
    json["model"]["ignore_merges"] = ignore_merges;
    const Tokenizer t = load(json);
    EXPECT_EQ(t.encode("ab", EncodeMode::parse_added), (Ids{kAb}));
    EXPECT_EQ(t.encode("ab", EncodeMode::plain), (Ids{'a', 'b'}));
    EXPECT_EQ(t.encode("xab", EncodeMode::plain), (Ids{'x', 'a', 'b'}));
  }
  json["added_tokens"].push_back({{"id", 'q'}, {"content", "q"}, {"special", true}});
  EXPECT_NE(error_of([&] { load(json); }).find("0x71"), std::string::npos);
}

TEST(Tokenizer, FlagsOfAddedTokens) {
  Json json = small_tokenizer();
  Json& tool = json["added_tokens"][2];
  const auto with = [&](const char* flag) {
    Json copy = json;
    copy["added_tokens"][2][flag] = true;
    return load(copy);
  };
  tool["content"] = "TT";
  const TokenId space = ' ';
  EXPECT_EQ(load(json).encode("a TT a", EncodeMode::parse_added),
            (Ids{'a', space, kTool, kSpaceA}));
  EXPECT_EQ(with("lstrip").encode("a \n TT a", EncodeMode::parse_added),
            (Ids{'a', kTool, kSpaceA}));
  EXPECT_EQ(with("rstrip").encode("a TT \u3000a", EncodeMode::parse_added),
            (Ids{'a', space, kTool, 'a'}));
  EXPECT_EQ(with("single_word").encode("aTT TT", EncodeMode::parse_added),
            (Ids{'a', 'T', 'T', space, kTool}));
  json["normalizer"] = {{"type", "Lowercase"}};
  EXPECT_EQ(load(json).encode("ttTT", EncodeMode::parse_added), (Ids{'t', 't', kTool}));
  EXPECT_EQ(with("normalized").encode("ttTT", EncodeMode::parse_added), (Ids{kTool, kTool}));
}

TEST(Tokenizer, LongestAddedTokenWins) {
  Json json = small_tokenizer();
  json["added_tokens"].push_back({{"id", 265}, {"content", "<s><s>"}, {"special", true}});
  EXPECT_EQ(load(json).encode("<s><s><s>", EncodeMode::parse_added), (Ids{265, kBos}));
}

TEST(Tokenizer, Templates) {
  Json json = small_tokenizer();
  const auto item = [](const char* name) { return Json{{"SpecialToken", {{"id", name}}}}; };
  const auto known = [](const char* name, TokenId id) {
    return Json{{"id", name}, {"ids", {id}}, {"tokens", {name}}};
  };
  json["post_processor"] = {
      {"type", "Sequence"},
      {"processors",
       {{{"type", "ByteLevel"}},
        {{"type", "TemplateProcessing"},
         {"single", {item("<s>"), {{"Sequence", {{"id", "A"}}}}, item("</s>")}},
         {"special_tokens", {{"<s>", known("<s>", kBos)}, {"</s>", known("</s>", kEos)}}}}}}};
  const Tokenizer t = load(json);
  EXPECT_EQ(t.encode("ab", EncodeMode::parse_added, AddSpecial::yes), (Ids{kBos, kAb, kEos}));
  EXPECT_EQ(t.encode("ab", EncodeMode::parse_added), (Ids{kAb}));
  EXPECT_TRUE(t.wants_bos());
  EXPECT_EQ(t.bos(), kBos);
}

TEST(Tokenizer, ConfigNamesTokens) {
  const Tokenizer t = load(small_tokenizer(), {{"bos_token", "<s>"},
                                               {"eos_token", {{"content", "</s>"}}},
                                               {"pad_token", nullptr},
                                               {"add_bos_token", true}});
  EXPECT_EQ(t.bos(), kBos);
  EXPECT_EQ(t.eos(), kEos);
  EXPECT_EQ(t.pad(), std::nullopt);
  EXPECT_TRUE(t.wants_bos());
  EXPECT_EQ(t.stop_ids(), Ids{kEos});
}

TEST(Tokenizer, IllFormedTextBecomesReplacementCharacters) {
  const Tokenizer t = load(small_tokenizer());
  for (const EncodeMode mode : {EncodeMode::plain, EncodeMode::parse_added}) {
    EXPECT_EQ(t.decode(t.encode("a\xFF\xE4\xB8z<\xC3", mode), SkipSpecial::no),
              "a\uFFFD\uFFFDz<\uFFFD");
  }
}

TEST(Tokenizer, DetokenizerNeverEmitsHalfACharacter) {
  const Tokenizer t = load(small_tokenizer());
  const std::string text =
      "a😀é\xF0\x9F"
      "b中\xE4";
  std::vector<TokenId> ids;
  for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
  Detokenizer d(t, SkipSpecial::no);
  std::string stream;
  for (const TokenId id : ids) {
    const std::string part = d.feed(id);
    EXPECT_TRUE(part.empty() || (static_cast<unsigned char>(part[0]) & 0xC0) != 0x80);
    stream += part;
  }
  EXPECT_EQ(stream, "a😀é\uFFFDb中");
  EXPECT_TRUE(d.pending());
  stream += d.flush();
  EXPECT_EQ(stream, t.decode(ids, SkipSpecial::no));
  EXPECT_FALSE(d.pending());
}

// Each broken file is refused with a message that names the place.
TEST(Tokenizer, RefusesBrokenFiles) {
  const auto broken = [](const char* pointer, const Json& value, const char* expected) {
    Json json = small_tokenizer();
    json[Json::json_pointer(pointer)] = value;
    const std::string error = error_of([&] { load(json); });
    EXPECT_NE(error.find(expected), error.npos) << pointer << ": " << error;
  };
  broken("/model/vocab/a", -5, "model.vocab[\"a\"]");
  broken("/model/vocab/a", 1ull << 40, "model.vocab[\"a\"]");
  broken("/model/vocab/a", 2147483647, "out of all proportion");
  broken("/model/vocab/a", "x", "model.vocab[\"a\"]");
  broken("/model/vocab/a", 98, "twice");
  broken("/model/merges/0", "ab", "model.merges[0]");
  broken("/model/merges/0", {"zz", "y"}, "\"zz\"");
  broken("/model/merges/0", {"z", "y"}, "\"zy\"");
  broken("/model/merges", 3, "\"merges\"");
  broken("/model/type", "Unigram", "Unigram");
  broken("/model/dropout", 0.1, "dropout");
  broken("/model/unk_token", "<unk>", "unk_token");
  broken("/added_tokens/0/id", -1, "added_tokens[0]");
  broken("/added_tokens/0/id", 1ull << 33, "added_tokens[0]");
  broken("/added_tokens/0/id", 2000000000, "<s>");
  broken("/added_tokens/0/id", 97, "added_tokens[0]");
  broken("/added_tokens/0/content", "a", "added_tokens[0]");
  broken("/added_tokens/1/content", "<s>", "twice");
  broken("/added_tokens/0/special", 1, "added_tokens[0]");
  broken("/added_tokens/0/content", std::string(2000, 'x'), "2000 bytes");
  broken("/normalizer", {{"type", "BertNormalizer"}}, "BertNormalizer");
  broken("/pre_tokenizer", {{"type", "Metaspace"}}, "Metaspace");
  broken("/pre_tokenizer", nullptr, "ByteLevel");
  broken("/decoder", {{"type", "WordPiece"}}, "WordPiece");
  broken("/decoder", nullptr, "decoder");
  broken("/post_processor", {{"type", "Other"}}, "Other");
  EXPECT_NE(error_of([] { Tokenizer::from_json("{\"a\":", ""); }).find("at byte"),
            std::string::npos);
  const std::string deep(100000, '[');
  EXPECT_NE(error_of([&] { Tokenizer::from_json(deep, ""); }).find("deeper"), std::string::npos);
}

TEST(TokenizerGguf, ControlTokensAndIds) {
  std::vector<std::string> texts;
  std::vector<std::int32_t> types(256, 1);
  for (int b = 0; b < 256; ++b)
    texts.push_back(bytes_to_alphabet(std::string(1, static_cast<char>(b))));
  for (const auto& [text, type] : std::vector<std::pair<std::string, int>>{
           {"<|im_end|>", 3}, {"<think>", 4}, {"[PAD258]", 5}, {"ab", 1}}) {
    texts.push_back(text);
    types.push_back(type);
  }
  const std::vector<std::string_view> tokens(texts.begin(), texts.end());
  const std::vector<std::string_view> merges = {"a b"};
  GgufVocab v;
  v.model = "gpt2";
  v.pre = "llama-bpe";
  v.tokens = tokens;
  v.token_types = types;
  v.merges = merges;
  v.bos_id = v.eos_id = 256;
  const Tokenizer t = Tokenizer::from_gguf(v);
  EXPECT_EQ(t.encode("ab<think>", EncodeMode::parse_added, AddSpecial::yes), (Ids{256, 259, 257}));
  for (const TokenId id : t.encode("<think><|im_end|>[PAD258]", EncodeMode::plain))
    EXPECT_LT(id, 256);
  EXPECT_TRUE(t.wants_bos() && t.is_special(256) && t.is_added(257) && !t.is_special(257));
  EXPECT_EQ(t.stop_ids(), Ids{256});

  const auto error = [&](auto change) {
    GgufVocab w = v;
    change(w);
    return error_of([&] { Tokenizer::from_gguf(w); });
  };
  EXPECT_NE(error([](auto& w) { w.model = "llama"; }).find("SentencePiece"), std::string::npos);
  EXPECT_NE(error([](auto& w) { w.pre = "x"; }).find("known:"), std::string::npos);
  EXPECT_NE(error([](auto& w) { w.bos_id = 4000000000; }).find("bos_token_id"), std::string::npos);
  EXPECT_NE(error([](auto& w) { w.token_types = w.token_types.first(3); }).find("token_type"),
            std::string::npos);
  const std::vector<std::string_view> absent = {"a zz"};
  EXPECT_NE(error([&](auto& w) { w.merges = absent; }).find("merges[0]"), std::string::npos);
}

TEST(TokenizerTiktoken, MergesByRank) {
  // a b c ab bc abc; "abc" as a whole, "xab" by merging, special tokens from the configuration
  const std::string model = "YQ== 0\nYg== 1\nYw== 2\nYmM= 3\nYWI= 4\r\nYWJj 5\nIA== 6\n\n";
  const Json config = {{"added_tokens_decoder", {{"7", {{"content", "[EOS]"}, {"special", true}}}}},
                       {"eos_token", "[EOS]"}};
  const Tokenizer t = Tokenizer::from_tiktoken(model, config.dump());
  EXPECT_EQ(t.encode("abc[EOS]", EncodeMode::parse_added), (Ids{5, 7}));
  EXPECT_EQ(t.encode("aabc ab", EncodeMode::plain), (Ids{0, 5, 6, 4}));
  EXPECT_EQ(t.eos(), 7);
  for (const char* bad :
       {"YQ== 0\nYQ==", "YQ== -1", "Y!== 1", "YQ== 99999999999", "", "YQ== 0\nYQ== 1"}) {
    EXPECT_NE(error_of([&] { Tokenizer::from_tiktoken(bad, ""); }).find("tiktoken.model"),
              std::string::npos)
        << bad;
  }
}

}  // namespace
}  // namespace nautile
