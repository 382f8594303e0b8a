#include "store/hf_folder.h"

#include <filesystem>
#include <map>
#include <unordered_map>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "store/name_list.h"

namespace nautile::store {
namespace {

constexpr const char* kIndex = "model.safetensors.index.json";
constexpr const char* kSingle = "model.safetensors";

// A name that stays inside the folder.
bool is_plain_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == name.npos &&
         name.find('\0') == name.npos;
}

// Opens the shards that the index names; reports all absent ones together.
std::map<std::string, std::size_t> open_shards(
    const HfFolder& folder, const std::vector<std::pair<std::string, std::string>>& index,
    std::vector<SafetensorsFile>& files) {
  std::map<std::string, std::size_t> shards;
  for (const auto& [tensor, file] : index) shards.emplace(file, 0);
  NameList missing;
  for (const auto& [name, position] : shards) {
    if (!folder.has(name)) missing.add(name);
  }
  if (!missing.empty()) {
    throw make_error(ErrorKind::failure, "{}: {} of the {} files that {} names are missing:{}",
                     folder.path(), missing.count(), shards.size(), kIndex, missing.str())
        .hint("was the download complete?");
  }
  for (auto& [name, position] : shards) {
    position = files.size();
    files.push_back(SafetensorsFile::open(folder.file(name)));
  }
  return shards;
}

FolderWeights open_indexed(const HfFolder& folder) {
  const std::string index_path = folder.file(kIndex);
  const auto index = parse_index(read_file(index_path), index_path);
  FolderWeights weights;
  const auto shards = open_shards(folder, index, weights.files);
  std::vector<std::unordered_map<std::string_view, const TensorRecord*>> held(weights.files.size());
  for (std::size_t i = 0; i < held.size(); ++i) {
    for (const TensorRecord& tensor : weights.files[i].tensors())
      held[i].emplace(tensor.name, &tensor);
  }
  NameList absent;
  for (const auto& [tensor, file] : index) {
    const auto& shard = held[shards.at(file)];
    const auto found = shard.find(tensor);
    if (found == shard.end()) {
      absent.add(fmt::format("{} in {}", printable(tensor), printable(file)));
    } else {
      weights.tensors.push_back(*found->second);
    }
  }
  if (!absent.empty()) {
    fail(ErrorKind::bad_input,
         "{}: {} of {} listed tensors are not in the file that should hold them:{}", index_path,
         absent.count(), index.size(), absent.str());
  }
  return weights;
}

}  // namespace

HfFolder::HfFolder(std::string path) : path_(std::move(path)) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(path_, ignored))
    fail(ErrorKind::failure, "cannot open {}: not a folder", path_);
}

std::string HfFolder::file(std::string_view name) const {
  return (std::filesystem::path(path_) / name).string();
}

bool HfFolder::has(std::string_view name) const {
  std::error_code ignored;
  return std::filesystem::is_regular_file(file(name), ignored);
}

nlohmann::json HfFolder::json(std::string_view name) const {
  const std::string path = file(name);
  return parse_json(read_file(path, JsonLimits{}.bytes), path);
}

std::optional<nlohmann::json> HfFolder::optional_json(std::string_view name) const {
  if (!has(name)) return std::nullopt;
  return json(name);
}

std::vector<std::pair<std::string, std::string>> parse_index(std::string_view text,
                                                             std::string_view what) {
  const nlohmann::json index = parse_json(text, what);
  const nlohmann::json& map = json_member(index, "weight_map", what);
  if (!map.is_object() || map.empty()) {
    fail(ErrorKind::bad_input,
         "{}: \"weight_map\": expected an object of tensor and file names, found {}", what,
         map.is_object() ? "an empty one" : map.type_name());
  }
  std::vector<std::pair<std::string, std::string>> names;
  for (const auto& [tensor, file] : map.items()) {
    if (!file.is_string() || !is_plain_name(file.get_ref<const std::string&>())) {
      fail(ErrorKind::bad_input,
           "{}: at byte {}: \"weight_map\": \"{}\": expected a file name without folders, found {}",
           what, key_offset(text, tensor), printable(tensor),
           file.is_string() ? printable(file.get_ref<const std::string&>()) : file.type_name());
    }
    names.emplace_back(tensor, file.get<std::string>());
  }
  return names;
}

FolderWeights open_folder_weights(const HfFolder& folder) {
  if (folder.has(kIndex)) return open_indexed(folder);
  if (!folder.has(kSingle)) {
    fail(ErrorKind::failure, "{}: neither {} nor {} is there", folder.path(), kIndex, kSingle);
  }
  FolderWeights weights;
  weights.files.push_back(SafetensorsFile::open(folder.file(kSingle)));
  weights.tensors = weights.files.back().tensors();
  return weights;
}

}  // namespace nautile::store
