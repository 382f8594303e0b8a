#include "store/weight_store.h"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "base/bf16.h"
#include "base/error.h"

namespace nautile::store {
namespace {

namespace fs = std::filesystem;

// The one GGUF model of a folder; nothing if there is none, Error(usage) if there are several.
std::optional<std::string> only_gguf(const std::string& folder) {
  std::vector<std::string> found;
  std::error_code error;
  fs::directory_iterator entries(folder, error);
  if (error) fail(ErrorKind::failure, "cannot list {}: {}", folder, error.message());
  for (; entries != fs::directory_iterator(); entries.increment(error)) {
    const auto& entry = *entries;
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(".gguf")) continue;
    // Of a split file, its first part stands for all.
    const bool later_part = name.find("-of-") != name.npos && name.find("-00001-of-") == name.npos;
    if (!later_part) found.push_back(entry.path().string());
  }
  std::sort(found.begin(), found.end());
  if (found.size() > 1) {
    fail(ErrorKind::usage, "{} holds {} GGUF models; name one of them, e.g. {}", folder,
         found.size(), found[0]);
  }
  return found.empty() ? std::nullopt : std::optional(found[0]);
}

FolderWeights single_file(const std::string& path) {
  FolderWeights weights;
  weights.files.push_back(SafetensorsFile::open(path));
  weights.tensors = weights.files.back().tensors();
  return weights;
}

}  // namespace

WeightStore::WeightStore(GgufFile file)
    : path_(file.path()),
      gguf_(std::make_unique<GgufFile>(std::move(file))),
      tensors_(gguf_->tensors()) {
  index_names();
}

WeightStore::WeightStore(FolderWeights weights, std::string path)
    : path_(std::move(path)),
      safetensors_(std::move(weights.files)),
      tensors_(std::move(weights.tensors)) {
  index_names();
}

WeightStore WeightStore::open(const std::string& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) {
    const HfFolder folder(path);
    if (!folder.has("model.safetensors.index.json") && !folder.has("model.safetensors")) {
      if (const auto gguf = only_gguf(path)) return WeightStore(GgufFile::open(*gguf));
      fail(ErrorKind::failure,
           "{} holds no weights: expected model.safetensors, model.safetensors.index.json or a "
           ".gguf file",
           path);
    }
    return WeightStore(open_folder_weights(folder), path);
  }
  if (path.ends_with(".safetensors")) return WeightStore(single_file(path), path);
  return WeightStore(GgufFile::open(path));
}

// A map of views: records never move again (a moved vector keeps its elements' addresses).
void WeightStore::index_names() {
  for (const TensorRecord& tensor : tensors_) names_.emplace(tensor.name, &tensor);
}

const GgufFile& WeightStore::gguf() const {
  NAUTILE_ASSERT(gguf_, "{} is not a GGUF file", path_);
  return *gguf_;
}

std::optional<HfFolder> WeightStore::folder() const {
  if (is_gguf()) return std::nullopt;
  std::error_code error;
  if (fs::is_directory(path_, error)) return HfFolder(path_);
  return HfFolder(fs::absolute(path_).parent_path().string());
}

std::vector<const MappedFile*> WeightStore::files() const {
  std::vector<const MappedFile*> files;
  if (gguf_) {
    for (const MappedFile& file : gguf_->files()) files.push_back(&file);
  }
  for (const SafetensorsFile& file : safetensors_) {
    if (file.file()) files.push_back(file.file());
  }
  return files;
}

const TensorRecord* WeightStore::find(std::string_view name) const {
  const auto found = names_.find(name);
  return found == names_.end() ? nullptr : found->second;
}

std::uint64_t WeightStore::total_bytes() const {
  std::uint64_t sum = 0;
  for (const TensorRecord& tensor : tensors_) sum += tensor.data.size();
  return sum;
}

std::vector<TypeTotal> WeightStore::totals() const {
  std::map<std::string, TypeTotal> by_type;
  for (const TensorRecord& tensor : tensors_) {
    TypeTotal& total = by_type[tensor.dtype];
    total.dtype = tensor.dtype;
    ++total.tensors;
    total.values += static_cast<std::uint64_t>(tensor.shape.elements());
    total.bytes += tensor.data.size();
  }
  std::vector<TypeTotal> totals;
  for (auto& [dtype, total] : by_type) totals.push_back(std::move(total));
  std::stable_sort(totals.begin(), totals.end(),
                   [](const TypeTotal& a, const TypeTotal& b) { return a.bytes > b.bytes; });
  return totals;
}

WeightStore::Scales WeightStore::scales(const TensorRecord& record) {
  if (record.dtype == "F8_E8M0") return {ScaleFormat::e8m0, record.data.data()};
  if (record.format == Format::f32) return {ScaleFormat::f32, record.data.data()};
  if (record.format != Format::bf16 && record.format != Format::f16) {
    fail(ErrorKind::unsupported,
         "block scales {} have type {}; expected F32, F8_E8M0, BF16 or F16 (in {})",
         printable(record.name), record.dtype, record.file);
  }
  std::vector<float>& values = converted_scales_[&record];
  if (values.empty()) {
    for (std::size_t i = 0; i + 1 < record.data.size(); i += 2) {
      std::uint16_t bits;
      std::memcpy(&bits, record.data.data() + i, 2);
      values.push_back(record.format == Format::bf16 ? to_float(bf16{bits}) : half_to_float(bits));
    }
  }
  return {ScaleFormat::f32, reinterpret_cast<const std::byte*>(values.data())};
}

}  // namespace nautile::store
