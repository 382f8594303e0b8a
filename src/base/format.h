// format.h — Format: what the bytes of a tensor mean. One list, read by kernels, store and tensor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace nautile {

// The block formats are GGML's (docs: gguf.md, ggml-common.h). F8_E4M3 has its scales in a second
// array, one per 128×128 block (DeepSeek-V3 README_WEIGHTS).
enum class Format : std::uint8_t {
  f32,
  f16,
  bf16,
  f8_e4m3,
  q8_0,
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q2_k,
  q3_k,
  q4_k,
  q5_k,
  q6_k,
  iq4_nl,
  iq4_xs,
  i32,  // not a weight: token ids and the like
};
inline constexpr int kFormatCount = 17;

struct FormatInfo {
  std::string_view name;  // as printed and as users write it: "Q4_K"
  int block;              // weights per block
  int block_bytes;        // bytes per block
};

namespace detail {
inline constexpr FormatInfo kFormats[kFormatCount] = {
    {"F32", 1, 4},      {"F16", 1, 2},      {"BF16", 1, 2},     {"F8_E4M3", 1, 1},
    {"Q8_0", 32, 34},   {"Q4_0", 32, 18},   {"Q4_1", 32, 20},   {"Q5_0", 32, 22},
    {"Q5_1", 32, 24},   {"Q2_K", 256, 84},  {"Q3_K", 256, 110}, {"Q4_K", 256, 144},
    {"Q5_K", 256, 176}, {"Q6_K", 256, 210}, {"IQ4_NL", 32, 18}, {"IQ4_XS", 256, 136},
    {"I32", 1, 4},
};
}  // namespace detail

constexpr const FormatInfo& info(Format format) {
  return detail::kFormats[static_cast<std::size_t>(format)];
}

// A row of `columns` weights; columns must be a multiple of the block.
constexpr std::size_t row_bytes(Format format, std::size_t columns) {
  const FormatInfo& facts = info(format);
  return columns / static_cast<std::size_t>(facts.block) *
         static_cast<std::size_t>(facts.block_bytes);
}

constexpr bool is_quantized(Format format) {
  return info(format).block > 1;
}

constexpr std::optional<Format> format_by_name(std::string_view name) {
  for (int i = 0; i < kFormatCount; ++i) {
    if (detail::kFormats[i].name == name) return static_cast<Format>(i);
  }
  return std::nullopt;
}

}  // namespace nautile
