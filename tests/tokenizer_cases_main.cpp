// tokenizer_cases_main.cpp — encodes and decodes strings for the oracle and the benchmark.
//
//   tokenizer_cases json TOKENIZER_JSON [TOKENIZER_CONFIG_JSON]
//   tokenizer_cases tiktoken TIKTOKEN_MODEL [TOKENIZER_CONFIG_JSON]
//   tokenizer_cases gguf VOCAB_JSON        (the tokenizer keys of a GGUF file, written as JSON)
//   tokenizer_cases pre NAME               (pieces of a pre-tokenizer known by name)
//   tokenizer_cases form N                 (normal forms: 0 NFC, 1 NFD, 2 NFKC, 3 NFKD)
// stdin: strings, each as u32 length and bytes. stdout, for each string: lists as u32 count and
// i32 ids of parse_added, parse_added with special tokens, plain; then the decoded text of the
// first list as u32 length and bytes, without and with skipping. For `pre`: u32 count and u32
// lengths of the pieces; for `form`: u32 length and bytes. A text that cannot be encoded ends the
// program with its error.
//
//   tokenizer_cases ids json ...      lists of ids in (u32 count, i32 each), the two decoded texts
//   out tokenizer_cases time FILE json ...     prints seconds and ids of one encode of FILE (plain)
#include <chrono>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "text/detokenizer.h"
#include "text/pre_tokenizer.h"
#include "text/tokenizer.h"
#include "text/unicode_normalizer.h"

namespace {

using nautile::AddSpecial;
using nautile::EncodeMode;
using nautile::SkipSpecial;
using nautile::TokenId;
using nautile::Tokenizer;

Tokenizer from_vocab_json(const std::string& path) {
  const auto j = nlohmann::json::parse(nautile::read_file(path));
  const auto tokens = j.at("tokens").get<std::vector<std::string>>();
  const auto merges = j.at("merges").get<std::vector<std::string>>();
  const auto types = j.at("token_types").get<std::vector<std::int32_t>>();
  const std::string model = j.at("model"), pre = j.at("pre");
  const std::vector<std::string_view> token_views(tokens.begin(), tokens.end());
  const std::vector<std::string_view> merge_views(merges.begin(), merges.end());
  nautile::GgufVocab v;
  v.model = model;
  v.pre = pre;
  v.tokens = token_views;
  v.merges = merge_views;
  v.token_types = types;
  const auto id = [&](const char* key, std::optional<std::int64_t>& out) {
    if (j.contains(key) && !j[key].is_null()) out = j[key].get<std::int64_t>();
  };
  id("bos_id", v.bos_id);
  id("eos_id", v.eos_id);
  id("pad_id", v.pad_id);
  if (j.contains("add_bos") && !j["add_bos"].is_null()) v.add_bos = j["add_bos"].get<bool>();
  return Tokenizer::from_gguf(v);
}

Tokenizer load(int argc, char** argv) {
  const std::string kind = argv[0], path = argv[1];
  const std::string config = argc > 2 ? nautile::read_file(argv[2]) : std::string();
  if (kind == "json") return Tokenizer::from_json(nautile::read_file(path), config);
  if (kind == "tiktoken") return Tokenizer::from_tiktoken(nautile::read_file(path), config);
  if (kind == "gguf") return from_vocab_json(path);
  nautile::fail(nautile::ErrorKind::usage, "unknown kind {}", kind);
}

bool read_string(std::string& text) {
  std::uint32_t size = 0;
  if (!std::cin.read(reinterpret_cast<char*>(&size), sizeof size)) return false;
  text.resize(size);
  return static_cast<bool>(std::cin.read(text.data(), size));
}

void write_bytes(const void* data, std::size_t count, std::size_t size) {
  const auto n = static_cast<std::uint32_t>(count);
  std::cout.write(reinterpret_cast<const char*>(&n), sizeof n);
  std::cout.write(static_cast<const char*>(data), static_cast<std::streamsize>(count * size));
}

std::string decode_checked(const Tokenizer& t, const std::vector<TokenId>& ids, SkipSpecial skip) {
  const std::string whole = t.decode(ids, skip);
  nautile::Detokenizer detokenizer(t, skip);
  std::string stream;
  for (const TokenId id : ids) stream += detokenizer.feed(id);
  stream += detokenizer.flush();
  if (stream != whole) nautile::fail(nautile::ErrorKind::failure, "stream and decode differ");
  return whole;
}

void write_decoded(const Tokenizer& t, const std::vector<TokenId>& ids) {
  for (const SkipSpecial skip : {SkipSpecial::no, SkipSpecial::yes}) {
    const std::string decoded = decode_checked(t, ids, skip);
    write_bytes(decoded.data(), decoded.size(), 1);
  }
}

void answer_ids(const Tokenizer& t) {
  std::uint32_t count = 0;
  while (std::cin.read(reinterpret_cast<char*>(&count), sizeof count)) {
    std::vector<TokenId> ids(count);
    std::cin.read(reinterpret_cast<char*>(ids.data()),
                  static_cast<std::streamsize>(count * sizeof(TokenId)));
    write_decoded(t, ids);
  }
}

void answer(const Tokenizer& t) {
  for (std::string text; read_string(text);) {
    const auto added = t.encode(text, EncodeMode::parse_added);
    const auto special = t.encode(text, EncodeMode::parse_added, AddSpecial::yes);
    const auto plain = t.encode(text, EncodeMode::plain);
    for (const auto* ids : {&added, &special, &plain}) {
      write_bytes(ids->data(), ids->size(), sizeof(TokenId));
    }
    write_decoded(t, added);
  }
}

class Lengths : public nautile::PieceSink {
 public:
  void piece(std::string_view text) override {
    lengths.push_back(static_cast<std::uint32_t>(text.size()));
  }
  std::vector<std::uint32_t> lengths;
};

void answer_pieces(const nautile::PreTokenizer& pre) {
  for (std::string text; read_string(text);) {
    Lengths sink;
    pre.split(text, sink);
    write_bytes(sink.lengths.data(), sink.lengths.size(), sizeof(std::uint32_t));
  }
}

void answer_forms(nautile::UnicodeForm form) {
  const auto step = nautile::make_form_step(form);
  std::string out;
  for (std::string text; read_string(text);) {
    if (!step->apply(text, out)) out = text;
    write_bytes(out.data(), out.size(), 1);
  }
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

int time_file(int argc, char** argv) {
  const std::string data = nautile::read_file(argv[0]);
  std::vector<std::string_view> texts;
  for (std::size_t at = 0; at < data.size();) {
    std::uint32_t size = 0;
    std::memcpy(&size, data.data() + at, sizeof size);
    texts.emplace_back(data.data() + at + sizeof size, size);
    at += sizeof size + size;
  }
  auto start = std::chrono::steady_clock::now();
  const Tokenizer t = load(argc - 1, argv + 1);
  const double loading = seconds_since(start);
  start = std::chrono::steady_clock::now();
  std::size_t ids = 0;
  for (const std::string_view text : texts) ids += t.encode(text, EncodeMode::parse_added).size();
  std::printf("%.6f %zu %.6f\n", seconds_since(start), ids, loading);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  try {
    if (argc < 3) nautile::fail(nautile::ErrorKind::usage, "see the head of the source");
    const std::string kind = argv[1];
    if (kind == "time") return time_file(argc - 2, argv + 2);
    if (kind == "ids") {
      answer_ids(load(argc - 2, argv + 2));
    } else if (kind == "form") {
      answer_forms(static_cast<nautile::UnicodeForm>(argv[2][0] - '0'));
    } else if (kind == "pre") {
      answer_pieces(nautile::pre_tokenizer_by_name(argv[2]));
    } else {
      answer(load(argc - 1, argv + 1));
    }
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
