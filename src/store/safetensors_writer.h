// safetensors_writer.h — SafetensorsWriter: a safetensors file, streamed: names first, then the
// data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "tensor/shape.h"

namespace nautile::store {

struct SafetensorsEntry {
  std::string name;
  std::string dtype;  // "F32", "BF16", "F8_E4M3", …
  Shape shape;

  std::uint64_t bytes() const;
};

// Tensors are declared in the constructor and their bytes appended in that order, in pieces of any
// size. The file appears under its name when finish() returns. Throws Error.
class SafetensorsWriter {
 public:
  SafetensorsWriter(const std::string& path, std::vector<SafetensorsEntry> tensors,
                    const std::map<std::string, std::string>& notes = {{"format", "pt"}},
                    AtomicWriter::Watch watch = {});

  void append(std::span<const std::byte> bytes);
  void finish();  // asserts that exactly the declared bytes were appended
  std::uint64_t data_bytes() const { return data_bytes_; }

 private:
  AtomicWriter file_;
  std::uint64_t data_start_ = 0;
  std::uint64_t data_bytes_ = 0;
};

}  // namespace nautile::store
