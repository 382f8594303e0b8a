// tokenizer.h — text to token ids and back, as a model's own tokenizer files define it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/added_tokens.h"
#include "text/bpe_vocab.h"
#include "text/chat_segment.h"

namespace nautile {

struct TokenizerParts;

enum class EncodeMode {
  // Added tokens spelled in the text become their ids: equal to the `tokenizers` library. For text
  // that a chat template made.
  parse_added,
  // The text is only text: whatever it spells, no added or control token arises. (A token of a
  // single byte is exempt if it is not special: that byte has no other spelling.)
  plain,
};
enum class AddSpecial { no, yes };   // yes: put around the ids what the post-processor says (BOS)
enum class SkipSpecial { no, yes };  // yes: leave out tokens marked `special`

// The tokenizer keys of a GGUF file ("tokenizer.ggml.*"); the views live as long as the call.
struct GgufVocab {
  std::string_view model;                     // .model: "gpt2"
  std::string_view pre;                       // .pre
  std::span<const std::string_view> tokens;   // .tokens
  std::span<const std::int32_t> token_types;  // .token_type; may be empty
  std::span<const std::string_view> merges;   // .merges
  std::optional<std::int64_t> bos_id, eos_id, eot_id, eom_id, pad_id;
  std::optional<std::int64_t> unknown_id;  // not used: see encode
  std::optional<bool> add_bos, add_eos;    // .add_space_prefix is for SentencePiece only
};

// Byte-level BPE. Immutable; const use from many threads is safe.
class Tokenizer {
 public:
  // A Hugging Face tokenizer.json; tokenizer_config.json may be empty and gives bos, eos, pad and
  // add_bos_token. Throws Error(bad_input) with the place for malformed files and
  // Error(unsupported) naming a component that is well-formed but not supported.
  static Tokenizer from_json(std::string_view tokenizer_json,
                             std::string_view tokenizer_config_json);
  // As the Hugging Face tokenizer of the same model behaves: qwen2's list gets NFC, llama-bpe's and
  // kimi-k2's take whole pieces (ignore_merges). Errors as above.
  static Tokenizer from_gguf(const GgufVocab& vocab);
  // Kimi-K2 and Moonlight: lines of "base64 rank", special tokens in tokenizer_config.json's
  // added_tokens_decoder. Errors as above.
  static Tokenizer from_tiktoken(std::string_view tiktoken_model,
                                 std::string_view tokenizer_config_json);

  // Takes what a loader gathered; see tokenizer_parts.h.
  explicit Tokenizer(TokenizerParts&& parts);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  // Bytes without a token (SmolLM2 has none for some control characters) are left out, unless
  // tokenizer.json names an unk_token; else decode gives the normalized text back.
  // Ill-formed UTF-8 counts as U+FFFD, one for each maximal ill-formed subpart. Time is O(n log n);
  // memory up to 50 bytes per byte of the longest piece. Throws Error(unsupported) only if a
  // foreign split pattern exceeds its budget.
  std::vector<TokenId> encode(std::string_view text, EncodeMode mode,
                              AddSpecial special = AddSpecial::no) const;

  // parse_added for a text of which users wrote the ranges `user` (ascending, disjoint, on
  // character borders): an added token arises only where all of its bytes are outside of them.
  // Equal to parse_added if nothing in them looks like a part of an added token. Throws
  // Error(bad_input) if the text is not UTF-8.
  std::vector<TokenId> encode(std::string_view text, std::span<const ByteRange> user) const;

  // Equal to the `tokenizers` library, but that it keeps a special token whose normal form differs.
  // The text of the ids; ids that name no token are left out, ill-formed UTF-8 becomes U+FFFD.
  std::string decode(std::span<const TokenId> ids, SkipSpecial skip) const;
  // Appends the bytes of one token, possibly a part of a character.
  void append_bytes(TokenId id, SkipSpecial skip, std::string& out) const;

  // The id of a token by its text (an added token's content, else the vocabulary's spelling, in
  // which "Ġ" is a space). Never hard-code ids: releases move them.
  std::optional<TokenId> id_of(std::string_view text) const;
  // The text of a token in the same spelling; empty for an id that names none.
  std::string token(TokenId id) const;

  std::int32_t vocab_size() const;  // one past the largest id; the model's rows may be more
  std::optional<TokenId> bos() const;
  std::optional<TokenId> eos() const;
  std::optional<TokenId> pad() const;
  // Whether raw text begins with BOS by the model's own convention (add_bos_token, the GGUF key or
  // the post-processor). Text of a chat template has its own.
  bool wants_bos() const;
  // Ids after which generation stops: eos, eot, eom, and the well-known end-of-turn strings that
  // this vocabulary has as added tokens. Sorted, distinct.
  const std::vector<TokenId>& stop_ids() const;

  bool is_special(TokenId id) const;  // decode with SkipSpecial::yes leaves it out
  bool is_added(TokenId id) const;    // special, control, user-defined: plain never makes it
  const std::vector<AddedToken>& added_tokens() const;

 private:
  struct Impl;
  std::unique_ptr<const Impl> impl_;
};

}  // namespace nautile
