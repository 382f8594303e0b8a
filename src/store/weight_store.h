// weight_store.h — WeightStore: a checkpoint's weights by name, whatever file format holds them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/gguf.h"
#include "store/hf_folder.h"
#include "store/tensor_record.h"
#include "tensor/weight.h"

namespace nautile::store {

// Tensors and bytes of one type, as the file spells it.
struct TypeTotal {
  std::string dtype;
  std::size_t tensors = 0;
  std::uint64_t values = 0;
  std::uint64_t bytes = 0;
};

// Owns the mapped files; records, weights and metadata are views that live as long as the store.
// Nothing is read before it is used. Movable, not copyable.
class WeightStore {
 public:
  // `path`: a Hugging Face folder (safetensors, sharded or not), a folder that holds one GGUF
  // model, a .gguf file (any part of a split one) or a .safetensors file. Throws Error as they do.
  static WeightStore open(const std::string& path);
  explicit WeightStore(GgufFile file);
  WeightStore(FolderWeights weights, std::string path);

  WeightStore(WeightStore&&) = default;
  WeightStore& operator=(WeightStore&&) = default;

  const std::string& path() const { return path_; }  // as opened
  bool is_gguf() const { return gguf_ != nullptr; }
  const GgufFile& gguf() const;  // only if is_gguf()
  // The folder of config.json and its siblings; none for a GGUF file.
  std::optional<HfFolder> folder() const;
  std::vector<const MappedFile*> files() const;

  // In the order of the files' bytes.
  const std::vector<TensorRecord>& tensors() const { return tensors_; }
  const TensorRecord* find(std::string_view name) const;  // nullptr if absent
  bool has(std::string_view name) const { return find(name) != nullptr; }

  std::uint64_t total_bytes() const;      // of all tensors' data
  std::vector<TypeTotal> totals() const;  // largest first

  // Scales of an F8_E4M3 tensor as a Weight wants them: F32 and E8M0 as they lie in the file; BF16
  // and F16 ones converted to F32 in memory that the store owns.
  struct Scales {
    ScaleFormat format = ScaleFormat::none;
    const std::byte* data = nullptr;
  };
  Scales scales(const TensorRecord& record);

 private:
  void index_names();

  std::string path_;
  std::unique_ptr<GgufFile> gguf_;
  std::vector<SafetensorsFile> safetensors_;
  std::vector<TensorRecord> tensors_;
  std::map<std::string_view, const TensorRecord*, std::less<>> names_;
  std::map<const TensorRecord*, std::vector<float>> converted_scales_;
};

}  // namespace nautile::store
