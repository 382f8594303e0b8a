// tokenizer_parts.h — what a loader gathers from its file for the Tokenizer's constructor.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <vector>

#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/bpe_vocab.h"
#include "text/pre_tokenizer.h"
#include "text/unicode_normalizer.h"

namespace nautile {

struct TokenizerParts {
  std::unique_ptr<const BpeVocab> vocab;
  std::vector<BpeMerge> merges;
  WholePiece whole = WholePiece::by_merges;
  UnknownRule unknown;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  std::vector<AddedToken> added;
  // Ids that plain text never becomes besides the added ones (GGUF's unused tokens).
  std::vector<TokenId> reserved;
  std::vector<TokenId> prefix, suffix;  // the post-processor's
  std::optional<TokenId> bos, eos, pad;
  std::vector<TokenId> stops;  // beside eos and the well-known strings
  bool wants_bos = false;
};

// "bos_token" and the like of a tokenizer_config.json: a string, or an object with "content".
std::optional<std::string> config_token(const nlohmann::json& config, const char* key);
// An optional boolean member. Throws Error(bad_input) naming `where` and the key.
bool bool_member(const nlohmann::json& object, const char* key, bool missing,
                 std::string_view where);
// One AddedToken object but for its id.
AddedToken added_token_from_json(const nlohmann::json& object, std::string_view where);

}  // namespace nautile
