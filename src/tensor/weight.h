// weight.h — Weight: a named parameter as it lies in memory: shape, Format, Layout, data, scales.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/format.h"
#include "tensor/shape.h"

namespace nautile {

// The order of a weight's bytes. `rows`: the file's own, row after row.
enum class Layout : std::uint8_t { rows };

// Scales of F8_E4M3, one per 128×128 block, row-major [ceil(rows/128), ceil(cols/128)]: F32, E8M0
// bytes, or F32 that hold powers of two (DeepSeek-V3.1: scale_fmt "ue8m0"). With powers of two,
// class fp8dyn gives inputs such scales too.
enum class ScaleFormat : std::uint8_t { none, f32, e8m0, f32_powers };

struct Weight;

// A low-rank addition to a weight (LoRA, Hu et al. 2021): y = x·Wᵀ + scale·(x·Aᵀ)·Bᵀ.
struct LowRank {
  const Weight* a = nullptr;  // [r, in]
  const Weight* b = nullptr;  // [out, r]
  float scale = 1;
};

// A view; the bytes belong to a WeightStore (or a ParamSet). A 3-D weight is a stack of matrices
// (experts or heads) [E, out, in] whose rows follow one another.
struct Weight {
  std::string name;  // canonical name, e.g. "layers.3.attention.output"
  Shape shape;       // [out, in], [E, out, in] or [n]
  Format format = Format::f32;
  Layout layout = Layout::rows;
  const std::byte* data = nullptr;  // 1-byte aligned at worst: files align to 32 or less
  ScaleFormat scale_format = ScaleFormat::none;
  const std::byte* scales = nullptr;
  std::uint32_t param = 0;           // the name of its gradient in training; 0: frozen
  const LowRank* adapter = nullptr;  // what ops add to the product; null: nothing

  bool present() const { return data != nullptr; }
  std::int64_t rows() const { return shape.rows(); }
  std::int64_t cols() const { return shape.cols(); }
  std::size_t row_stride() const { return row_bytes(format, static_cast<std::size_t>(cols())); }
  std::size_t bytes() const { return static_cast<std::size_t>(rows()) * row_stride(); }
  std::size_t scale_bytes() const;  // 0 without scales
};

// A 1-D parameter as ops take it: a norm's gain, a bias. A view.
struct Vector {
  const float* data = nullptr;  // null: absent
  std::uint32_t param = 0;      // as in Weight
};

inline std::size_t Weight::scale_bytes() const {
  if (scale_format == ScaleFormat::none) return 0;
  const std::int64_t stack = shape.rank() == 3 ? shape[0] : 1;
  const std::int64_t out = shape[shape.rank() - 2];
  const std::int64_t blocks = stack * ((out + 127) / 128) * ((cols() + 127) / 128);
  return static_cast<std::size_t>(blocks) * (scale_format == ScaleFormat::e8m0 ? 1 : 4);
}

}  // namespace nautile
