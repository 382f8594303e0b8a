// safetensors.h — SafetensorsFile: the tensors and notes of one .safetensors file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "store/tensor_record.h"

namespace nautile::store {

// Owns the mapped file; the tensors' data are views into it. Movable, not copyable.
// Layout: u64 header length, JSON header {name: {dtype, shape, data_offsets}}, data without gaps.
class SafetensorsFile {
 public:
  // Throws Error(failure) if it cannot be read, Error(bad_input) with the path and a byte offset or
  // the tensor's name if malformed.
  static SafetensorsFile open(const std::string& path);
  // From memory that outlives the object; `name` stands for the path.
  static SafetensorsFile from_bytes(std::span<const std::byte> bytes, std::string name);

  SafetensorsFile(SafetensorsFile&&) = default;
  SafetensorsFile& operator=(SafetensorsFile&&) = default;

  const std::string& path() const { return path_; }
  const MappedFile* file() const { return file_ ? &*file_ : nullptr; }  // nullptr if from memory
  // In the order of their data; names are unique.
  const std::vector<TensorRecord>& tensors() const { return tensors_; }
  // `__metadata__`.
  const std::map<std::string, std::string>& notes() const { return notes_; }

 private:
  SafetensorsFile() = default;
  void parse(std::span<const std::byte> bytes);

  std::string path_;
  std::optional<MappedFile> file_;
  std::vector<TensorRecord> tensors_;
  std::map<std::string, std::string> notes_;
};

// Bits of one value of a safetensors dtype ("BF16" has 16); none for an unknown name.
std::optional<int> safetensors_dtype_bits(std::string_view dtype);
// The Format of a dtype, and back; none where the other side has no such thing.
std::optional<Format> safetensors_format(std::string_view dtype);
std::optional<std::string_view> safetensors_dtype(Format format);

}  // namespace nautile::store
