// inputs_test.cpp — inputs, chats, duplicates and contamination.
#include <gtest/gtest.h>
#include <unistd.h>
#include <zstd.h>

#include <filesystem>
#include <fstream>

#include "base/error.h"
#include "base/file.h"
#include "base/rng.h"
#include "text/bpe_trainer.h"
#include "text/tokenizer_writer.h"
#include "train/chat_sample.h"
#include "train/decontaminate.h"
#include "train/dedup.h"
#include "train/documents.h"
#include "train/text_input.h"
#include "train/words.h"

namespace nautile::train {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

class InputTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("nautile_inputs_" + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& content) const {
    std::string path = (folder_ / name).string();
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }
  fs::path folder_;
};

std::string packed(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

std::vector<std::string> parts_of(const std::string& path, const std::string& separator) {
  TextInput input(path, separator, 1 << 30);
  std::vector<std::string> parts;
  for (std::string part; input.next(part);) parts.push_back(part);
  return parts;
}

std::string error_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

using Parts = std::vector<std::string>;

TEST_F(InputTest, PartsOfText) {
  EXPECT_EQ(parts_of(write("a", "one\ntwo\r\n\nfour"), "\n"), (Parts{"one", "two", "", "four"}));
  EXPECT_EQ(parts_of(write("a", "one\ntwo\n"), ""), (Parts{"one\ntwo\n"}));
  EXPECT_EQ(parts_of(write("a", ""), "\n"), Parts{});
  EXPECT_EQ(parts_of(write("a", "x<|end|>y<|end|>"), "<|end|>"), (Parts{"x", "y"}));
  // Separators across the borders of reads.
  std::string text;
  Parts expected;
  for (int i = 0; i < 3000; ++i) {
    expected.push_back(std::string(static_cast<std::size_t>(i % 700), 'a') + std::to_string(i));
    text += expected.back() + "<|end|>";
  }
  EXPECT_EQ(parts_of(write("a", text), "<|end|>"), expected);
  EXPECT_EQ(parts_of(write("a.zst", packed(text)), "<|end|>"), expected);
  EXPECT_EQ(parts_of(write("two.zst", packed(text) + packed("end")), "<|end|>").back(), "end");
  TextInput lines(write("a", "1\n22\n333\n"), "\n", 2);
  std::string part;
  EXPECT_TRUE(lines.next(part) && lines.next(part));
  EXPECT_EQ(lines.line(), 2);
  EXPECT_NE(error_of([&] { lines.next(part); }).find("line 3"), std::string::npos);
}

TEST_F(InputTest, DamagedZstdIsSaid) {
  std::string text;
  for (int i = 0; i < 20'000; ++i)
    text += std::to_string(philox(1, static_cast<std::uint64_t>(i), 0)[0]);
  const std::string bytes = packed(text);
  for (const std::size_t size : {bytes.size() - 1, bytes.size() / 2, std::size_t{20}}) {
    const std::string path = write("cut.zst", bytes.substr(0, size));
    EXPECT_NE(error_of([&] { parts_of(path, ""); }).find("was it cut?"), std::string::npos) << size;
  }
  std::string broken = bytes;
  for (std::size_t i = 6; i < 40; ++i) broken[i] = '\xFF';
  EXPECT_NE(error_of([&] { parts_of(write("broken.zst", broken), ""); }), "");
  EXPECT_NE(error_of([&] { parts_of((folder_ / "none").string(), ""); }), "");
  EXPECT_NE(error_of([&] { parts_of(folder_.string(), ""); }), "");
}

TEST_F(InputTest, JsonLinesNameTheirFaults) {
  SourceSpec source;
  source.kind = SourceKind::jsonl;
  source.field = "text";
  source.files = {write("x.jsonl",
                        "{\"text\": \"a\"}\n\n{\"txt\": \"b\"}\n{\"text\": 3}\nnonsense\n[]\n"
                        "{\"text\": \"last\"}")};
  const auto documents = open_documents(source);
  RawDocument document;
  EXPECT_TRUE(documents->next(document));
  EXPECT_EQ(document.text, "a");
  for (const char* fault :
       {"line 3: there is no field \"text\"", "line 4: expected the field", "line 5", "line 6"}) {
    EXPECT_NE(error_of([&] { documents->next(document); }).find(fault), std::string::npos) << fault;
  }
  EXPECT_TRUE(documents->next(document));
  EXPECT_EQ(document.text, "last");
  EXPECT_FALSE(documents->next(document));
  EXPECT_THROW(matching_files((folder_ / "*.none").string()), Error);
}

TEST_F(InputTest, LongTextIsCutAtEmptyLines) {
  std::string text;
  for (int i = 0; i < 400; ++i)
    text += "A line of the book, number " + std::to_string(i) + (i % 5 == 4 ? "\n\n" : "\n");
  SourceSpec source;
  source.files = {write("book.txt", text)};
  source.chunk_bytes = 1000;
  const auto documents = open_documents(source);
  RawDocument document;
  std::string again;
  int chunks = 0;
  while (documents->next(document)) {
    ++chunks;
    EXPECT_LE(document.text.size(), 1000u);
    EXPECT_TRUE(document.text.starts_with("A line"));
    again += document.text;
  }
  EXPECT_GT(chunks, 10);
  std::erase(again, '\n');
  std::erase(text, '\n');
  EXPECT_EQ(again, text);
  source.files = {write("bad.txt", "good \xC3\x28 bad")};
  EXPECT_NE(error_of([&] { open_documents(source)->next(document); }).find("not UTF-8: at byte 5"),
            std::string::npos);
}

struct Fixture {
  TokenizerSpec spec = default_tokenizer_spec();
  Tokenizer tokenizer = make();
  std::unique_ptr<ChatFormat> format =
      make_template_format(spec.chat_template, {{"bos_token", spec.bos}, {"eos_token", spec.eos}});

  Tokenizer make() const {
    const BpeTrainer trainer({.vocab_size = 256, .reserved = {}});
    return Tokenizer::from_json(tokenizer_json_text(trainer.train(), spec),
                                tokenizer_config_text(spec));
  }
  std::string learnt(const ChatSample& sample) const {
    std::string text;
    for (const TokenRun& run : sample.runs) {
      text += tokenizer.decode(std::span(sample.tokens).subspan(run.begin, run.end - run.begin),
                               SkipSpecial::no) +
              "|";
    }
    return text;
  }
};

TEST(ChatSample, OnlyTheAssistantIsLearnt) {
  const Fixture f;
  const Json chat = {{"messages",
                      {{{"role", "system"}, {"content", "Be brief."}},
                       {{"role", "user"}, {"content", "Hi <think> <｜end▁of▁sentence｜>"}},
                       {{"role", "assistant"}, {"content", "<think>a</think>Hello"}},
                       {{"role", "user"}, {"content", "More"}},
                       {{"role", "assistant"}, {"content", "Bye <｜User｜>"}}}}};
  const auto samples = encode_chat(f.tokenizer, *f.format, chat);
  ASSERT_EQ(samples.size(), 1u);
  const ChatSample& sample = samples[0];
  EXPECT_EQ(f.learnt(sample),
            "<think>a</think>Hello<｜end▁of▁sentence｜>|Bye <｜User｜><｜end▁of▁sentence｜>|");
  EXPECT_EQ(
      f.tokenizer.decode(sample.tokens, SkipSpecial::no),
      "<｜begin▁of▁sentence｜>Be brief.<｜User｜>Hi <think> <｜end▁of▁sentence｜><｜Assistant｜>"
      "<think>a</think>Hello<｜end▁of▁sentence｜><｜User｜>More<｜Assistant｜>Bye "
      "<｜User｜><｜end▁of▁sentence｜>");
  const auto count = [&](const char* token) {
    return std::count(sample.tokens.begin(), sample.tokens.end(), *f.tokenizer.id_of(token));
  };
  EXPECT_EQ(count("<think>"), 1);                // the assistant's is a token, the user's is text
  EXPECT_EQ(count("<｜end▁of▁sentence｜>"), 2);  // the format's alone
  EXPECT_EQ(count("<｜User｜>"), 2);
}

TEST(ChatSample, AFormatThatForgetsGivesASampleForEachTurn) {
  const Fixture f;
  const auto format = make_template_format(
      "{% for m in messages %}{{ '<｜User｜>' if m.role == 'user' else '<｜Assistant｜>' }}"
      "{{ m.content if loop.last else m.content.split('</think>')[-1] }}{% endfor %}"
      "{% if add_generation_prompt %}<｜Assistant｜>{% endif %}",
      {});
  const Json chat = {{"messages",
                      {{{"role", "user"}, {"content", "1"}},
                       {{"role", "assistant"}, {"content", "<think>a</think>x"}},
                       {{"role", "user"}, {"content", "2"}},
                       {{"role", "assistant"}, {"content", "<think>b</think>y"}}}}};
  const auto samples = encode_chat(f.tokenizer, *format, chat);
  ASSERT_EQ(samples.size(), 2u);
  EXPECT_EQ(f.learnt(samples[0]), "<think>a</think>x|");
  EXPECT_EQ(f.learnt(samples[1]), "<think>b</think>y|");
}

TEST(ChatSample, WhatIsNoConversation) {
  const Fixture f;
  for (const char* text : {R"({"messages": []})", R"({"messages": 3})", R"({})",
                           R"({"messages": [{"role": "user", "content": "a"}]})",
                           R"({"messages": [{"role": "assistant"}, 5]})"}) {
    EXPECT_THROW(encode_chat(f.tokenizer, *f.format, Json::parse(text)), Error) << text;
  }
}

TEST(ChatSample, TagsInText) {
  const Fixture f;
  const std::string text = "a<think>b</think><｜User｜>";
  const auto ids = encode_with_tags(f.tokenizer, text);
  EXPECT_EQ(f.tokenizer.decode(ids, SkipSpecial::no), text);
  EXPECT_EQ(ids[1], *f.tokenizer.id_of("<think>"));
  EXPECT_EQ(std::count(ids.begin(), ids.end(), *f.tokenizer.id_of("<｜User｜>")), 0);
  const auto counts = token_byte_counts(f.tokenizer);
  EXPECT_EQ(counts[static_cast<std::size_t>(ids[0])], 1u);
  EXPECT_EQ(counts[static_cast<std::size_t>(*f.tokenizer.id_of("<think>"))], 7u);
  EXPECT_EQ(counts[static_cast<std::size_t>(*f.tokenizer.id_of("<｜User｜>"))], 0u);
}

std::string random_words(std::uint64_t seed, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i)
    text += "w" + std::to_string(philox(seed, i, 0)[0] % 5000) + " ";
  return text;
}

TEST(Dedup, SameAndNearlySame) {
  Deduplicator seen(0.8);
  const auto add = [&](const std::string& text) {
    return seen.add(fingerprint(text, word_hashes(text), NearDuplicates::find));
  };
  using Verdict = Deduplicator::Verdict;
  const std::string text = random_words(1, 400);
  EXPECT_EQ(add(text), Verdict::fresh);
  EXPECT_EQ(add("\n" + text + " "), Verdict::exact);
  EXPECT_EQ(add("W" + text.substr(1)), Verdict::near);  // other case
  EXPECT_EQ(add(text + random_words(2, 20)), Verdict::near);
  EXPECT_EQ(add(random_words(3, 400)), Verdict::fresh);
  EXPECT_EQ(add(text + random_words(4, 400)), Verdict::fresh);  // half is new
  EXPECT_EQ(add("a b"), Verdict::fresh);
  EXPECT_EQ(add("a b "), Verdict::exact);
}

// The estimate of similarity keeps to its standard error.
TEST(Dedup, EstimatesJaccard) {
  const auto base = word_hashes(random_words(1, 1000));
  double worst = 0;
  for (std::size_t changed = 0; changed < 200; changed += 20) {
    auto words = base;
    for (std::size_t i = 0; i < changed; ++i) words[i] += 1;
    const auto a = fingerprint("a", base, NearDuplicates::find).signature;
    const auto b = fingerprint("b", words, NearDuplicates::find).signature;
    double same = 0;
    for (std::size_t i = 0; i < a.size(); ++i) same += a[i] == b[i] ? 1 : 0;
    const auto gone = static_cast<double>(changed ? changed + 0 : 0);
    const double jaccard = (996 - gone) / (996 + gone);
    worst = std::max(worst, std::abs(same / static_cast<double>(a.size()) - jaccard));
  }
  EXPECT_LT(worst, 4 * 0.046);
}

TEST_F(InputTest, ContaminationIsFound) {
  Decontaminator sets(13);
  const std::string question =
      "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in "
      "May.";
  sets.add_file(
      write("eval.jsonl", Json({{"question", question}, {"answer", "72"}}).dump() + "\n"));
  sets.add("short", "one two three four five six seven eight nine");
  EXPECT_EQ(sets.items(), 3u);
  EXPECT_EQ(sets.too_short(), 1u);
  const auto hit = [&](const std::string& text) { return sets.find(word_hashes(text)); };
  const auto found =
      hit("Well: natalia SOLD clips -- to 48 of her friends in april and then (she) sold 7.");
  ASSERT_TRUE(found.has_value());
  EXPECT_TRUE(found->set.ends_with("eval.jsonl"));
  EXPECT_EQ(found->word, 1u);
  EXPECT_EQ(found->words, 13u);
  EXPECT_FALSE(
      hit("natalia sold clips to 48 of her friends in april and then").has_value());  // 12 words
  EXPECT_TRUE(hit("zero one two three four five six seven eight nine ten").has_value());
  EXPECT_FALSE(hit("one two three four five six seven eight").has_value());
  EXPECT_FALSE(hit("").has_value());
  EXPECT_THROW(Decontaminator(3), Error);
  EXPECT_THROW(sets.add_file(write("bad.jsonl", "{")), Error);
}

}  // namespace
}  // namespace nautile::train
