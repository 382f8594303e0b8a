// cpu_gemm_panels.cpp — weights from the file's bytes to panels of 16 lanes, in a class's order.
#include <algorithm>
#include <utility>

#include "backend/cpu_gemm.h"

namespace nautile {

using kernels::kChunk;
using kernels::kMaxPanels;
using kernels::kPanelRows;

namespace {

constexpr std::size_t kPanelBytes = static_cast<std::size_t>(kChunk) * kPanelRows * sizeof(float);
constexpr std::size_t kPanelScales = static_cast<std::size_t>(kChunk) / 16 * kPanelRows;

// Weights are turned in pieces of this many rows of the sum: one scale of class fp8dyn.
constexpr int kPiece = 128;
constexpr int kRunLanes = kMaxPanels * kPanelRows;
constexpr int kWidest = 512;  // columns that a run's lanes can touch: two of the widest blocks

}  // namespace

float block_scale(const MatrixView& w, std::int64_t row, std::int64_t column) {
  const std::int64_t at = (w.first_row + row) / 128 * ((w.cols + 127) / 128) + column / 128;
  if (w.scale_format != ScaleFormat::e8m0) {
    float value;
    std::memcpy(&value, w.scales + 4 * at, 4);
    return value;
  }
  const std::uint32_t bits = static_cast<std::uint32_t>(w.scales[at]) << 23;
  float value;
  std::memcpy(&value, &bits, 4);
  return bits ? value : 0x1p-127f;
}

void read_row(const kernels::Kernels& kernels, const MatrixView& w, std::int64_t row,
              std::int64_t column, std::int64_t count, float* out) {
  kernels.format(w.format).f32(column_bytes(w, row, column), static_cast<int>(count), out);
  if (w.scale_format == ScaleFormat::none) return;
  for (std::int64_t c = column; c < column + count;) {
    const std::int64_t end = std::min(column + count, (c / 128 + 1) * 128);
    const float scale = block_scale(w, row, c);
    for (; c < end; ++c) out[c - column] *= scale;
  }
}

GemmRun::RunBuffers GemmRun::make_buffers(Workspace& workspace, std::size_t chunks,
                                          std::size_t block_bytes) const {
  const std::size_t rows = sizeof(float) * kPanelRows * kChunk, integers = kPanelRows * kChunk;
  const std::size_t blocks = sizeof(float) * kPanelRows * kWidest;
  const std::size_t codes = sizeof(bf16) * kRunLanes * kPiece;
  const std::size_t panels = chunks * kMaxPanels * panel_stride();
  const std::size_t scales = chunks * sizeof(float) * kMaxPanels * kPanelScales;
  const std::size_t sums = sizeof(float) * kRowBlock * kRunLanes;
  std::byte* at = workspace.reserve(panels + 2 * scales + sums + rows + blocks + integers + codes +
                                    block_bytes);
  const auto take = [&at](std::size_t bytes) { return std::exchange(at, at + bytes); };
  RunBuffers buffers;
  buffers.panels = take(panels);
  buffers.scale = reinterpret_cast<float*>(take(scales));
  buffers.offset = reinterpret_cast<float*>(take(scales));
  buffers.sums = reinterpret_cast<float*>(take(sums));
  buffers.rows = reinterpret_cast<float*>(take(rows));
  buffers.blocks = reinterpret_cast<float*>(take(blocks));
  buffers.integers = reinterpret_cast<std::int8_t*>(take(integers));
  buffers.codes = reinterpret_cast<bf16*>(take(codes));
  buffers.block = take(block_bytes);
  return buffers;
}

// Bytes from panel to panel, as close together as the class allows.
std::size_t GemmRun::panel_stride() const {
  switch (rule_.compute) {
    case ComputeClass::f32:
      return kPanelBytes;
    case ComputeClass::i8:
      return kPanelBytes / sizeof(float) * static_cast<std::size_t>(kernels_.panels.i8_panel_bytes);
    default:
      return kPanelBytes / 2;
  }
}

std::byte* GemmRun::panel_of(const RunBuffers& buffers, const PanelRun& run, int p) const {
  return buffers.panels + (run.slot * kMaxPanels + static_cast<std::size_t>(p)) * panel_stride();
}

// Floats from panel to panel.
std::size_t GemmRun::scale_stride() {
  return kPanelScales;
}

std::size_t GemmRun::scales_of(const PanelRun& run, int p) {
  return (run.slot * kMaxPanels + static_cast<std::size_t>(p)) * kPanelScales;
}

void GemmRun::unpack(const MatrixView& w, const PanelRun& run, const RunBuffers& buffers) const {
  if (rule_.weights == SumOver::rows) return unpack_columns(w, run, buffers);
  for (int p = 0; p < run.count; ++p) {
    if (rule_.compute == ComputeClass::i8) {
      unpack_integers(w, run, p, buffers);
    } else {
      unpack_rows(w, run, p, buffers);
    }
  }
}

void GemmRun::unpack_integers(const MatrixView& w, const PanelRun& run, int p,
                              const RunBuffers& buffers) const {
  const std::int64_t row = (run.first + p) * kPanelRows;
  const int rows = static_cast<int>(std::min<std::int64_t>(kPanelRows, w.rows - row));
  float* scale = buffers.scale + scales_of(run, p);
  float* offset = buffers.offset + scales_of(run, p);
  if (rows < kPanelRows) {
    std::memset(scale, 0, kPanelScales * sizeof(float));
    std::memset(offset, 0, kPanelScales * sizeof(float));
  }
  for (int r = 0; r < rows; ++r) {
    kernels_.format(w.format).i8(column_bytes(w, row + r, run.column), run.columns,
                                 buffers.integers + r * kChunk, scale + r, offset + r);
  }
  kernels_.panels.interleave_i8(buffers.integers, kChunk, rows, run.columns,
                                panel_of(buffers, run, p));
}

// A panel whose lanes are rows of w.
void GemmRun::unpack_rows(const MatrixView& w, const PanelRun& run, int p,
                          const RunBuffers& buffers) const {
  const std::int64_t row = (run.first + p) * kPanelRows;
  const int rows = static_cast<int>(std::min<std::int64_t>(kPanelRows, w.rows - row));
  const kernels::PanelKernels& panels = kernels_.panels;
  std::byte* out = panel_of(buffers, run, p);
  if (w.format == Format::bf16 && rule_.compute == ComputeClass::bf16) {
    panels.interleave_bf16_rows(reinterpret_cast<const bf16*>(column_bytes(w, row, run.column)),
                                w.row_stride / 2, rows, run.columns, reinterpret_cast<bf16*>(out));
    return;
  }
  for (int r = 0; r < rows; ++r) {
    float* values = buffers.rows + r * kChunk;
    kernels_.format(w.format).f32(column_bytes(w, row + r, run.column), run.columns, values);
    if (w.format != Format::f8_e4m3) continue;
    for (int c = 0; c < run.columns; c += 128) {
      const float scale =
          w.scale_format == ScaleFormat::none ? 1.0f : block_scale(w, row + r, run.column + c);
      if (rule_.compute == ComputeClass::fp8dyn) {  // keeps the codes and notes the scales
        buffers.scale[scales_of(run, p) + static_cast<std::size_t>(c / 128 * kPanelRows + r)] =
            scale;
        continue;
      }
      for (int i = c; i < std::min(run.columns, c + 128); ++i) values[i] *= scale;
    }
  }
  if (rule_.compute == ComputeClass::f32) {
    panels.interleave_f32(buffers.rows, kChunk, rows, run.columns, reinterpret_cast<float*>(out));
  } else {
    panels.interleave_bf16(buffers.rows, kChunk, rows, run.columns, reinterpret_cast<bf16*>(out));
  }
}

// Panels whose lanes are columns of w: pieces of its rows are turned, then go on as rows do.
void GemmRun::unpack_columns(const MatrixView& w, const PanelRun& run,
                             const RunBuffers& buffers) const {
  const std::int64_t lane = run.first * kPanelRows;
  const int lanes = static_cast<int>(std::min<std::int64_t>(run.count * kPanelRows, w.cols - lane));
  for (int k = 0; k < run.columns; k += kPiece) {
    const int count = std::min(kPiece, run.columns - k);
    turn(w, run.column + k, count, lane, lanes, buffers);
    for (int p = 0; p < run.count; ++p) interleave_turned(w, run, k, count, p, buffers);
  }
}

// buffers.rows [columns, 128] = w[row.., column..] turned, as F32; codes of F8 keep their scale
// apart in class fp8dyn. Formats with blocks are read from the block's first column on.
void GemmRun::turn(const MatrixView& w, std::int64_t row, int rows, std::int64_t column,
                   int columns, const RunBuffers& buffers) const {
  if (w.format == Format::f32) {
    const float* from = reinterpret_cast<const float*>(column_bytes(w, row, column));
    kernels_.panels.transpose(from, w.row_stride / sizeof(float), rows, columns, buffers.rows,
                              kPiece);
    return;
  }
  const std::int64_t block = info(w.format).block;
  const std::int64_t first = column / block * block;
  const std::int64_t end = std::min(w.cols, (column + columns + block - 1) / block * block);
  MatrixView plain = w;
  if (rule_.compute == ComputeClass::fp8dyn) plain.scale_format = ScaleFormat::none;
  for (int r = 0; r < rows; r += kPanelRows) {
    const int some = std::min(kPanelRows, rows - r);
    for (int i = 0; i < some; ++i) {
      float* values = buffers.blocks + i * kWidest;
      read_row(kernels_, plain, row + r + i, first, end - first, values);
    }
    kernels_.panels.transpose(buffers.blocks + (column - first), kWidest, some, columns,
                              buffers.rows + r, kPiece);
  }
}

// Numbers [k, k + count) of the run's chunk, turned, into panel p.
void GemmRun::interleave_turned(const MatrixView& w, const PanelRun& run, int k, int count, int p,
                                const RunBuffers& buffers) const {
  const kernels::PanelKernels& panels = kernels_.panels;
  const std::int64_t lane = (run.first + p) * kPanelRows;
  const int lanes = static_cast<int>(std::min<std::int64_t>(kPanelRows, w.cols - lane));
  const float* rows = buffers.rows + p * kPanelRows * kPiece;
  std::byte* out = panel_of(buffers, run, p);
  if (rule_.compute == ComputeClass::f32) {
    panels.interleave_f32(rows, kPiece, lanes, count,
                          reinterpret_cast<float*>(out) + k * kPanelRows);
    return;
  }
  bf16* pairs = reinterpret_cast<bf16*>(out) + k * kPanelRows;
  if (rule_.compute == ComputeClass::bf16)
    return panels.interleave_bf16(rows, kPiece, lanes, count, pairs);
  // fp8dyn: E4M3 codes are exact in BF16; other weights are quantized here, per lane.
  float* scale = buffers.scale + scales_of(run, p) + k / 128 * kPanelRows;
  if (w.format == Format::f8_e4m3) {
    for (int r = 0; r < lanes; ++r) {
      scale[r] =
          w.scale_format == ScaleFormat::none ? 1.0f : block_scale(w, run.column + k, lane + r);
    }
    return panels.interleave_bf16(rows, kPiece, lanes, count, pairs);
  }
  for (int r = 0; r < lanes; ++r)
    panels.pack_f8(rows + r * kPiece, count, f8_style(), buffers.codes + r * kPiece, scale + r);
  panels.interleave_bf16_rows(buffers.codes, kPiece, lanes, count, pairs);
}

}  // namespace nautile
