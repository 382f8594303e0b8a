// tokenizer_gguf.cpp — a tokenizer from the metadata of a GGUF file.
#include "base/error.h"
#include "text/tokenizer.h"
#include "text/tokenizer_parts.h"
#include "text/unicode.h"

namespace nautile {
namespace {

// Values of tokenizer.ggml.token_type.
enum class GgufType : std::int32_t { normal = 1, unknown, control, user_defined, unused, byte };

GgufType type_at(const GgufVocab& v, std::size_t id) {
  if (v.token_types.empty()) return GgufType::normal;
  const std::int32_t type = v.token_types[id];
  NAUTILE_CHECK(type >= 1 && type <= 6, "tokenizer.ggml.token_type[{}]: expected 1 to 6, found {}",
                id, type);
  return static_cast<GgufType>(type);
}

void read_tokens(const GgufVocab& v, TokenizerParts& parts) {
  NAUTILE_CHECK(!v.tokens.empty(), "tokenizer.ggml.tokens is empty or missing");
  NAUTILE_CHECK(v.token_types.empty() || v.token_types.size() == v.tokens.size(),
                "tokenizer.ggml.token_type has {} entries for {} tokens", v.token_types.size(),
                v.tokens.size());
  std::vector<VocabEntry> entries;
  entries.reserve(v.tokens.size());
  for (std::size_t i = 0; i < v.tokens.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    const GgufType type = type_at(v, i);
    const bool added = type == GgufType::control || type == GgufType::user_defined;
    entries.push_back({std::string(v.tokens[i]), id, !added && type != GgufType::unused});
    if (type == GgufType::unused) parts.reserved.push_back(id);
    if (!added) continue;
    AddedToken token;
    token.id = id;
    token.content = v.tokens[i];
    token.special = type == GgufType::control;
    parts.added.push_back(std::move(token));
  }
  parts.vocab = std::make_unique<BpeVocab>(entries, TokenSpelling::alphabet);
}

void read_merges(const GgufVocab& v, TokenizerParts& parts) {
  parts.merges.reserve(v.merges.size());
  for (std::size_t i = 0; i < v.merges.size(); ++i) {
    const std::string_view text = v.merges[i];
    const std::size_t space = text.find(' ');
    NAUTILE_CHECK(space != text.npos && text.find(' ', space + 1) == text.npos,
                  "tokenizer.ggml.merges[{}]: expected two tokens and one space, found \"{}\"", i,
                  brief(text));
    const auto find = [&](const std::string& part) {
      const TokenId id = parts.vocab->find_text(part);
      NAUTILE_CHECK(id != kNoToken && parts.vocab->is_byte_form(id),
                    "tokenizer.ggml.merges[{}]: \"{}\" is not a byte-level token", i, brief(part));
      return id;
    };
    const std::string left(text.substr(0, space)), right(text.substr(space + 1));
    const TokenId l = find(left), r = find(right);
    parts.merges.push_back({l, r, find(left + right), static_cast<std::uint32_t>(i)});
  }
}

std::optional<TokenId> checked_id(std::optional<std::int64_t> id, const GgufVocab& v,
                                  const char* key) {
  if (!id) return std::nullopt;
  NAUTILE_CHECK(*id >= 0 && *id < static_cast<std::int64_t>(v.tokens.size()),
                "tokenizer.ggml.{} is {}, but there are {} tokens", key, *id, v.tokens.size());
  return static_cast<TokenId>(*id);
}

void read_ids(const GgufVocab& v, TokenizerParts& parts) {
  parts.bos = checked_id(v.bos_id, v, "bos_token_id");
  parts.eos = checked_id(v.eos_id, v, "eos_token_id");
  parts.pad = checked_id(v.pad_id, v, "padding_token_id");
  for (const auto& id :
       {checked_id(v.eot_id, v, "eot_token_id"), checked_id(v.eom_id, v, "eom_token_id")}) {
    if (id) parts.stops.push_back(*id);
  }
  // Where the key is missing, only the Llama-3 list puts BOS in front.
  const bool llama = v.pre == "llama-bpe" || v.pre == "llama3" || v.pre == "llama-v3";
  parts.wants_bos = parts.bos && v.add_bos.value_or(llama);
  if (parts.wants_bos) parts.prefix.push_back(*parts.bos);
  if (parts.eos && v.add_eos.value_or(false)) parts.suffix.push_back(*parts.eos);
}

}  // namespace

Tokenizer Tokenizer::from_gguf(const GgufVocab& v) {
  if (v.model == "llama") {
    fail(ErrorKind::unsupported,
         "tokenizer.ggml.model is \"llama\" (SentencePiece); only \"gpt2\" (byte-level BPE) is "
         "supported, which DeepSeek, Qwen, Llama-3 and SmolLM2 files have");
  }
  if (v.model != "gpt2") {
    fail(ErrorKind::unsupported, "tokenizer.ggml.model is \"{}\"; only \"gpt2\" is supported",
         brief(v.model));
  }
  TokenizerParts parts;
  if (v.pre == "qwen2" || v.pre == "deepseek-r1-qwen") {
    parts.normalizer.add(make_form_step(UnicodeForm::nfc));
  }
  if (v.pre == "llama-bpe" || v.pre == "llama3" || v.pre == "llama-v3" || v.pre == "kimi-k2") {
    parts.whole = WholePiece::always;
  }
  parts.pre_tokenizer = pre_tokenizer_by_name(v.pre);
  read_tokens(v, parts);
  read_merges(v, parts);
  read_ids(v, parts);
  return Tokenizer(std::move(parts));
}

}  // namespace nautile
