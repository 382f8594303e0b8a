// hf_folder.h — HfFolder: the files of a Hugging Face checkpoint folder.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/safetensors.h"

namespace nautile::store {

class HfFolder {
 public:
  // Throws Error(failure) if `path` is not a folder.
  explicit HfFolder(std::string path);

  const std::string& path() const { return path_; }
  std::string file(std::string_view name) const;  // its path
  bool has(std::string_view name) const;
  // A JSON file of the folder ("config.json", "tokenizer_config.json", "generation_config.json"),
  // parsed within limits; the first form throws if it is absent.
  nlohmann::json json(std::string_view name) const;
  std::optional<nlohmann::json> optional_json(std::string_view name) const;

 private:
  std::string path_;
};

// The safetensors files that hold a folder's weights, opened, and the names that its index lists.
struct FolderWeights {
  std::vector<SafetensorsFile> files;
  // Tensors in use: views of records in `files`. With an index only what it lists, from the file it
  // says; else everything. Names are unique.
  std::vector<TensorRecord> tensors;
};

// From model.safetensors.index.json and its shards, else from model.safetensors. Throws Error
// naming all missing shards, or all listed tensors that their shard does not hold, together.
FolderWeights open_folder_weights(const HfFolder& folder);

// The names of a model.safetensors.index.json: tensor and its file, in the order of tensors' names.
// File names must be plain (no folders). Throws Error(bad_input) naming `what`.
std::vector<std::pair<std::string, std::string>> parse_index(std::string_view text,
                                                             std::string_view what);

}  // namespace nautile::store
