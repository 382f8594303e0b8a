// tiktoken.cpp — a tokenizer from tiktoken.model (Kimi-K2, Moonlight).
#include <algorithm>
#include <charconv>
#include <limits>

#include "base/error.h"
#include "base/json.h"
#include "text/tokenizer.h"
#include "text/tokenizer_parts.h"

namespace nautile {
namespace {

constexpr std::size_t kMaxTokenBytes = 4096;  // bounds the search for merges

int base64_value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

std::string decode_base64(std::string_view text, std::size_t line) {
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string bytes;
  unsigned bits = 0;
  int held = 0;
  for (const char c : text) {
    const int value = base64_value(c);
    NAUTILE_CHECK(value >= 0, "line {}: \"{}\" is not base64", line, brief(text));
    bits = (bits << 6 | static_cast<unsigned>(value)) & 0xFFFFFFu;
    held += 6;
    if (held >= 8) {
      held -= 8;
      bytes.push_back(static_cast<char>(bits >> held & 0xFFu));
    }
  }
  return bytes;
}

std::vector<VocabEntry> read_lines(std::string_view text) {
  std::vector<VocabEntry> entries;
  for (std::size_t line = 1; !text.empty(); ++line) {
    const std::size_t newline = std::min(text.find('\n'), text.size());
    std::string_view row = text.substr(0, newline);
    text.remove_prefix(std::min(newline + 1, text.size()));
    if (row.ends_with('\r')) row.remove_suffix(1);
    if (row.empty()) continue;
    const std::size_t space = row.find(' ');
    NAUTILE_CHECK(space != row.npos && space > 0, "line {}: expected \"base64 rank\", found \"{}\"",
                  line, brief(row));
    const std::string_view number = row.substr(space + 1);
    TokenId rank = kNoToken;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), rank);
    NAUTILE_CHECK(error == std::errc() && end == number.data() + number.size() && rank >= 0,
                  "line {}: \"{}\" is not a rank", line, brief(number));
    entries.push_back({decode_base64(row.substr(0, space), line), rank});
    NAUTILE_CHECK(entries.back().text.size() <= kMaxTokenBytes,
                  "line {}: a token of {} bytes; the limit is {}", line, entries.back().text.size(),
                  kMaxTokenBytes);
  }
  NAUTILE_CHECK(!entries.empty(), "there are no tokens");
  return entries;
}

// tiktoken merges whichever neighbours make the token of the smallest rank: every way to cut a
// token into two others is a merge of that token's rank.
std::vector<BpeMerge> all_merges(const BpeVocab& vocab) {
  std::vector<BpeMerge> merges;
  for (TokenId id = 0; id < vocab.size(); ++id) {
    if (!vocab.has(id)) continue;
    const std::string_view bytes = vocab.bytes(id);
    for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
      const TokenId left = vocab.find_bytes(bytes.substr(0, cut));
      if (left == kNoToken) continue;
      const TokenId right = vocab.find_bytes(bytes.substr(cut));
      if (right != kNoToken) merges.push_back({left, right, id, static_cast<std::uint32_t>(id)});
    }
  }
  return merges;
}

void read_special(const nlohmann::json& config, TokenizerParts& parts) {
  const auto list = config.find("added_tokens_decoder");
  if (list == config.end()) return;
  NAUTILE_CHECK(list->is_object(), "added_tokens_decoder: expected an object, found {}",
                list->type_name());
  for (const auto& [key, value] : list->items()) {
    const std::string where = "added_tokens_decoder[\"" + brief(key) + "\"]";
    AddedToken token = added_token_from_json(value, where);
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), token.id);
    NAUTILE_CHECK(error == std::errc() && end == key.data() + key.size() && token.id >= 0,
                  "{}: expected a token id", where);
    NAUTILE_CHECK(!parts.vocab->has(token.id), "{}: tiktoken.model has this id too", where);
    token.lstrip = token.rstrip = token.single_word = token.normalized = false;  // as tiktoken does
    parts.added.push_back(std::move(token));
  }
}

std::optional<TokenId> find_added(const TokenizerParts& parts,
                                  const std::optional<std::string>& text) {
  for (const AddedToken& t : parts.added) {
    if (text && t.content == *text) return t.id;
  }
  return std::nullopt;
}

}  // namespace

Tokenizer Tokenizer::from_tiktoken(std::string_view tiktoken_model,
                                   std::string_view tokenizer_config_json) {
  TokenizerParts parts;
  try {
    parts.vocab = std::make_unique<BpeVocab>(read_lines(tiktoken_model), TokenSpelling::bytes);
    parts.merges = all_merges(*parts.vocab);
  } catch (const Error& e) {
    throw e.with("in tiktoken.model");
  }
  parts.whole = WholePiece::always;
  parts.pre_tokenizer = pre_tokenizer_by_name("kimi-k2");
  try {
    const nlohmann::json config = tokenizer_config_json.empty()
                                      ? nlohmann::json::object()
                                      : parse_json(tokenizer_config_json, "tokenizer_config.json",
                                                   {.repeated = RepeatedNames::last});
    NAUTILE_CHECK(config.is_object(), "expected an object, found {}", config.type_name());
    read_special(config, parts);
    parts.bos = find_added(parts, config_token(config, "bos_token"));
    parts.eos = find_added(parts, config_token(config, "eos_token"));
    parts.pad = find_added(parts, config_token(config, "pad_token"));
    parts.wants_bos =
        parts.bos && bool_member(config, "add_bos_token", false, "tokenizer_config.json");
  } catch (const Error& e) {
    throw e.with("in tokenizer_config.json");
  }
  return Tokenizer(std::move(parts));
}

}  // namespace nautile
