// vocabulary.h — Vocabulary: the tokens a made model carries, from a tokenizer.json or made up.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "make_model/facts.h"
#include "store/gguf_writer.h"

namespace nautile::make_model {

// A byte-level BPE vocabulary in GGUF's terms.
struct Vocabulary {
  std::string pre;  // name of the pre-tokenizer
  std::vector<std::string> tokens;
  std::vector<std::int32_t> types;  // 1 normal, 3 control, 4 user-defined, 5 unused
  std::vector<std::string> merges;  // "left right"
  std::optional<std::int64_t> bos, eos, pad;
  std::optional<bool> add_bos;
  std::string chat_template;  // empty: none
};

// From FOLDER/tokenizer.json and tokenizer_config.json, padded with unused tokens to the model's
// vocabulary. Throws Error if it has more tokens than the model or is no byte-level BPE.
Vocabulary read_vocabulary(const std::string& folder, const Facts& facts);

// 256 bytes, the config's BOS and EOS in their places, common merges as far as there is room,
// unused tokens. None if the model's vocabulary cannot hold them.
std::optional<Vocabulary> made_vocabulary(const Facts& facts);

// tokenizer.ggml.*
void write_vocabulary(const Vocabulary& vocabulary, store::GgufMetadata& metadata);

// The same as a Hugging Face folder's tokenizer.json and tokenizer_config.json.
nlohmann::json tokenizer_json(const Vocabulary& vocabulary);
nlohmann::json tokenizer_config_json(const Vocabulary& vocabulary);

}  // namespace nautile::make_model
