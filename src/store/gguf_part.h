// gguf_part.h — parse_gguf_part: the checked contents of one GGUF file's bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/gguf.h"

namespace nautile::store {

struct GgufPart {
  std::uint32_t version = 0;
  std::vector<std::pair<std::string_view, GgufValue>> metadata;  // keys unique
  std::vector<TensorRecord> tensors;  // names unique, data inside, disjoint
};

// Views into `bytes`, which outlive the result. Memory is at most a small multiple of the bytes.
// Throws Error as GgufFile::open does; `path` is named in errors and records.
GgufPart parse_gguf_part(std::span<const std::byte> bytes, const std::string& path);

}  // namespace nautile::store
