// tokenizer_testing.h — small tokenizers for tests.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "text/bpe_vocab.h"
#include "text/tokenizer.h"

namespace nautile {

using Json = nlohmann::json;

// ids 0–255 are the bytes; then one token for each merge; then "<s>" and "</s>" (special) and
// "<tool>" (not special).
inline Json small_tokenizer(const std::vector<std::pair<std::string, std::string>>& merges) {
  Json vocab = Json::object(), list = Json::array();
  for (int b = 0; b < 256; ++b) vocab[bytes_to_alphabet(std::string(1, static_cast<char>(b)))] = b;
  int next = 256;
  for (const auto& [left, right] : merges) {
    vocab[left + right] = next++;
    list.push_back({left, right});
  }
  Json added = Json::array();
  for (const char* content : {"<s>", "</s>", "<tool>"}) {
    added.push_back({{"id", next++},
                     {"content", content},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", std::string(content) != "<tool>"}});
  }
  return {
      {"version", "1.0"},
      {"added_tokens", added},
      {"normalizer", nullptr},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
      {"post_processor", nullptr},
      {"decoder", {{"type", "ByteLevel"}}},
      {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", list}}}};
}

inline Json small_tokenizer() {
  return small_tokenizer(
      {{"a", "b"}, {"b", "c"}, {"ab", "c"}, {"Ġ", "a"}, {"Ġa", "b"}, {"c", "c"}});
}

inline Tokenizer load(const Json& json, const Json& config = Json::object()) {
  return Tokenizer::from_json(json.dump(), config.dump());
}

// The message of the Error that f throws, or "" if it throws none.
template <class F>
std::string error_of(const F& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

// A folder of the shared tokenizers; empty if it is not on this machine.
inline std::string tokenizer_folder(const std::string& name) {
  const char* data = std::getenv("NAUTILE_TEST_DATA");
  const std::string path = std::string(data ? data : "../shared") + "/tokenizers/" + name;
  return std::filesystem::exists(path + "/tokenizer.json") ? path : std::string();
}

}  // namespace nautile
