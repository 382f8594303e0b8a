// gguf.h — GgufFile: metadata and tensors of a GGUF file or of all parts of a split one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/file.h"
#include "store/gguf_types.h"
#include "store/tensor_record.h"

namespace nautile::store {

// An array of metadata, as the file's bytes (little-endian, unaligned; a string is its u64 length
// and its text), all checked. Arrays of arrays are checked and skipped: count, but no elements.
struct GgufArray {
  GgufType type = GgufType::u8;
  std::uint64_t count = 0;
  std::span<const std::byte> bytes;
};

// One value. Unsigned integers are held as u64, signed ones as i64, floats as f64, all exactly.
struct GgufValue {
  GgufType type = GgufType::u8;
  std::variant<std::uint64_t, std::int64_t, double, bool, std::string_view, GgufArray> data;

  // For people: `"deepseek2"`, `27`, `array of 129280 strings`.
  std::string str() const;
};

// Owns the mapped parts; strings and tensor data are views into them. Movable, not copyable.
// Versions 2 and 3, little-endian (ggml, docs/gguf.md). Everything is checked before it is
// believed: counts against the bytes that are there, offsets against the file, names against each
// other.
class GgufFile {
 public:
  // Any part of a split file ("…-00002-of-00005.gguf") opens them all. Throws Error(failure) if a
  // part cannot be read, Error(bad_input) with file and byte offset if malformed,
  // Error(unsupported) for other versions and byte orders.
  static GgufFile open(const std::string& path);
  // One part from memory that outlives the object; `name` stands for the path.
  static GgufFile from_bytes(std::span<const std::byte> bytes, std::string name);

  GgufFile(GgufFile&&) = default;
  GgufFile& operator=(GgufFile&&) = default;

  const std::string& path() const { return path_; }  // of the first part
  std::uint32_t version() const { return version_; }
  const std::vector<MappedFile>& files() const { return files_; }  // empty if from memory
  // Lets the memory go that the mapped metadata takes. It stays readable, from the file again.
  void release_metadata() const;
  // In the order of the file(s); names are unique.
  const std::vector<TensorRecord>& tensors() const { return tensors_; }

  // Metadata of the first part, in the file's order; keys are unique.
  const std::vector<std::pair<std::string_view, GgufValue>>& metadata() const { return metadata_; }
  const GgufValue* find(std::string_view key) const;  // nullptr if absent
  bool has(std::string_view key) const { return find(key) != nullptr; }

  // "general.architecture".
  std::string architecture() const { return string("general.architecture"); }

  // Values by key. Absent: Error(bad_input) naming key and file, or none for the optional forms. Of
  // another type or out of range: Error(bad_input) naming expected and found, in both forms. Any
  // integer type will do for an integer whose value fits; f32 and f64 for a float.
  std::uint32_t u32(std::string_view key) const;
  std::uint64_t u64(std::string_view key) const;
  std::int64_t i64(std::string_view key) const;
  float f32(std::string_view key) const;
  bool boolean(std::string_view key) const;
  std::string string(std::string_view key) const;
  std::optional<std::uint32_t> optional_u32(std::string_view key) const;
  std::optional<std::uint64_t> optional_u64(std::string_view key) const;
  std::optional<std::int64_t> optional_i64(std::string_view key) const;
  std::optional<float> optional_f32(std::string_view key) const;
  std::optional<bool> optional_boolean(std::string_view key) const;
  std::optional<std::string> optional_string(std::string_view key) const;

  // Arrays. An absent key gives an empty span or vector; another element type is an error.
  std::vector<std::string_view> strings(std::string_view key) const;  // views into the file
  std::vector<std::int64_t> integers(std::string_view key) const;
  std::vector<float> floats(std::string_view key) const;
  // One integer per layer: an array of exactly `count`, or one number meant for all.
  std::vector<std::uint32_t> u32_per_layer(std::string_view key, std::size_t count) const;

 private:
  GgufFile() = default;
  void index_keys();
  [[noreturn]] void wrong_type(std::string_view key, std::string_view expected) const;
  const GgufArray* array(std::string_view key) const;

  std::string path_;
  std::uint32_t version_ = 0;
  std::vector<MappedFile> files_;
  std::vector<std::pair<std::string_view, GgufValue>> metadata_;
  std::map<std::string_view, std::size_t, std::less<>> keys_;  // to the index in metadata_
  std::vector<TensorRecord> tensors_;
};

}  // namespace nautile::store
