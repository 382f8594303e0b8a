// formats.h — the one primitive each Format brings to a table: unpack a run of blocks of one row.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/format.h"

namespace nautile::kernels {

// A panel is 16 rows of a weight side by side; scales of a panel are stored [group][16].
inline constexpr int kPanelRows = 16;

// out[c] = value of column c, 0 <= c < count; `blocks` starts at a block, count is a multiple of
// the block. For F8_E4M3 the values are without their block scale. Not for I32.
using UnpackF32 = void (*)(const std::byte* blocks, int count, float* out) noexcept;

// The same weights as integers: value of column c = scale[g]·q[c] + offset[g], g = c / group.
// q lies in [-128, 127]; scale and offset are written with stride kPanelRows; offset is left alone
// by formats that are not affine. Null for formats that are not quantized to integers.
using UnpackI8 = void (*)(const std::byte* blocks, int count, std::int8_t* q, float* scale,
                          float* offset) noexcept;

enum class Offsets : std::uint8_t { none, per_group };

// Class i8 for 1 or 2 input rows, from the file's bytes: y[i][0..16) = sums of input row i with the
// 16 weight rows from row0 (`rows` of them exist; the rest of y is undefined) over all `count`
// columns. To the bit what the table's multiply_i8 gives. Null where the table has no such loop.
struct I8Input;
inline constexpr int kFewRows = 2;
using DotPanel = void (*)(const I8Input& x, int m, const std::byte* row0, std::size_t stride,
                          int rows, int count, float* y, std::size_t y_stride) noexcept;

struct FormatKernels {
  UnpackF32 f32 = nullptr;
  UnpackI8 i8 = nullptr;
  int group = 0;  // columns per scale of the integer form: 16 or 32
  Offsets offsets = Offsets::none;
  DotPanel dot = nullptr;
  int dot_rows = 0;  // input rows that `dot` multiplies faster than panels, kFewRows at a time
};

}  // namespace nautile::kernels
