// gguf_types.h — the type numbers of GGUF: metadata values and ggml's tensor types.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/format.h"

namespace nautile::store {

// Value types of metadata, as numbered in the file (ggml, docs/gguf.md).
enum class GgufType : std::uint32_t {
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  boolean,
  string,
  array,
  u64,
  i64,
  f64,
};
inline constexpr std::uint32_t kGgufTypeCount = 13;

constexpr std::string_view gguf_type_name(GgufType type) {
  constexpr std::string_view kNames[kGgufTypeCount] = {"u8",  "i8",  "u16",  "i16",    "u32",
                                                       "i32", "f32", "bool", "string", "array",
                                                       "u64", "i64", "f64"};
  return kNames[static_cast<std::uint32_t>(type)];
}

// Bytes of a value of this type in the file; 0 for strings and arrays, which say their own.
constexpr std::size_t gguf_type_bytes(GgufType type) {
  constexpr std::size_t kBytes[kGgufTypeCount] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return kBytes[static_cast<std::uint32_t>(type)];
}

// A tensor type of ggml.
struct GgmlType {
  std::uint32_t id;
  std::string_view name;
  int block;  // weights per block; 0: sizes not known here
  int block_bytes;
  std::optional<Format> format;  // none: nautile does not compute on it
};

// The type with this number, or none if ggml has (or had) no such type that we know.
const GgmlType* ggml_type(std::uint32_t id);
// The number of a format; every Format but F8_E4M3 has one.
std::optional<std::uint32_t> ggml_type_id(Format format);

}  // namespace nautile::store
