// tensor_record.h — TensorRecord: one tensor of a weight file, bounds-checked, as it lies there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/format.h"
#include "base/printable.h"
#include "tensor/shape.h"

namespace nautile::store {

// The bytes belong to the file the record came from (GgufFile, SafetensorsFile) or to its owner.
struct TensorRecord {
  std::string name;              // as the file spells it
  std::string dtype;             // as the file's format spells it: "BF16", "Q4_K", "I64", "type 77"
  std::optional<Format> format;  // none: a type nautile does not compute on
  Shape shape;                   // PyTorch order, outermost first; rank 0 is a scalar
  std::span<const std::byte> data;  // every row, no padding; alignment not promised
  std::string file;                 // path
  std::uint64_t offset = 0;         // of data in the file
};

// The format, or Error(unsupported) naming the tensor, its type and its file.
Format require_format(const TensorRecord& record);

// Extents multiplied with zeros counted as ones: if this is a number, Shape::elements() is safe in
// every order of multiplication. None on overflow of 2^62.
std::optional<std::uint64_t> safe_elements(std::span<const std::uint64_t> extents);

}  // namespace nautile::store
