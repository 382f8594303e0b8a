// compute_class.h — ComputeClass: in what numbers a weight product is computed.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace nautile {

// Sums are F32 in every class (i8: whole numbers inside a group). Inputs and weights enter the
// product as:
enum class ComputeClass : std::uint8_t {
  f32,     // both F32
  bf16,    // both rounded to BF16 (quantized weights are dequantized to F32 first)
  i8,      // weights as stored integers; inputs as 16-bit whole numbers, a scale per 32 columns
  fp8dyn,  // F8_E4M3 weights; inputs quantized to E4M3 per 128 columns (DeepSeek-V3 report §3.3)
};
inline constexpr int kComputeClassCount = 4;

constexpr std::string_view name(ComputeClass value) {
  constexpr std::string_view kNames[] = {"f32", "bf16", "i8", "fp8dyn"};
  return kNames[static_cast<int>(value)];
}

constexpr std::optional<ComputeClass> compute_class_by_name(std::string_view text) {
  for (int i = 0; i < kComputeClassCount; ++i) {
    if (name(static_cast<ComputeClass>(i)) == text) return static_cast<ComputeClass>(i);
  }
  return std::nullopt;
}

}  // namespace nautile
