// family.h — Family: how one line of checkpoints spells its config and its tensors.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "model/config.h"
#include "store/gguf.h"

namespace nautile {

struct Family {
  std::string_view name;
  // model_type of config.json and general.architecture of GGUF, separated by spaces.
  std::string_view hf_types, gguf_architectures;
  ModelConfig (*from_hf)(const nlohmann::json& config);
  ModelConfig (*from_gguf)(const store::GgufFile& file);
  // The file's name of a canonical weight; none if that kind of file has no such tensor.
  std::optional<std::string> (*hf_name)(std::string_view canonical);
  std::optional<std::string> (*gguf_name)(std::string_view canonical);
};

std::span<const Family* const> families();
// Throws Error(unsupported) listing what nautile knows.
const Family& family_of_hf(std::string_view model_type);
const Family& family_of_gguf(std::string_view architecture);

extern const Family kDeepSeek, kLlama, kQwen;

// Names that all families share: layers.N.x, by a table of what follows the layer. `spelling` pairs
// canonical and file names; entries without a layer are whole names.
struct NamePair {
  std::string_view canonical, file;
};
std::optional<std::string> spell(std::string_view canonical, std::string_view layer_prefix,
                                 std::span<const NamePair> spelling);
// The tables of Hugging Face and of llama.cpp; families share one each.
std::optional<std::string> hf_tensor_name(std::string_view canonical);
std::optional<std::string> gguf_tensor_name(std::string_view canonical);

}  // namespace nautile
