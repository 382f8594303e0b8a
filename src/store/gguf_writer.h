// gguf_writer.h — GgufWriter: a GGUF v3 file, streamed: metadata and names first, then the data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/format.h"
#include "store/gguf_types.h"
#include "tensor/shape.h"

namespace nautile::store {

// Metadata in the making, encoded as it comes. Keys are the caller's to keep unique.
class GgufMetadata {
 public:
  void u16(std::string_view key, std::uint16_t value);
  void u32(std::string_view key, std::uint32_t value);
  void i32(std::string_view key, std::int32_t value);
  void f32(std::string_view key, float value);
  void boolean(std::string_view key, bool value);
  void string(std::string_view key, std::string_view value);
  void strings(std::string_view key, std::span<const std::string> values);
  void i32s(std::string_view key, std::span<const std::int32_t> values);
  void f32s(std::string_view key, std::span<const float> values);

  std::uint64_t count() const { return count_; }
  const std::string& bytes() const { return bytes_; }

 private:
  void key(std::string_view key, GgufType type);
  void array(std::string_view key, GgufType element, std::size_t count);

  std::uint64_t count_ = 0;
  std::string bytes_;
};

struct GgufEntry {
  std::string name;  // at most 63 bytes, so that ggml can read it
  Format format = Format::f32;
  Shape shape;  // PyTorch order; rows must be whole blocks

  std::uint64_t bytes() const;
};

// Tensors are declared in the constructor and their bytes appended in that order, in pieces of any
// size; padding is the writer's. The file appears under its name when finish() returns.
class GgufWriter {
 public:
  GgufWriter(const std::string& path, const GgufMetadata& metadata, std::vector<GgufEntry> tensors);

  void append(std::span<const std::byte> bytes);  // never over a tensor's end
  void finish();                                  // asserts that all declared bytes were appended
  std::uint64_t data_bytes() const;

 private:
  void pad_if_complete();

  AtomicWriter file_;
  std::vector<GgufEntry> tensors_;
  std::size_t current_ = 0;
  std::uint64_t left_ = 0;  // bytes of the current tensor still to come
};

}  // namespace nautile::store
