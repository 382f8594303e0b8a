// cpu_gemm_panels.cpp — weights from the file's bytes to panels of 16 lanes, in a class's order.
#include <algorithm>
#include <utility>

#include "backend/cpu_gemm.h"
#include "base/error.h"

namespace nautile {

using kernels::kChunk;
using kernels::kMaxPanels;
using kernels::kPanelRows;

namespace {

constexpr std::size_t kPanelBytes = static_cast<std::size_t>(kChunk) * kPanelRows * sizeof(float);
constexpr std::size_t kPanelScales = static_cast<std::size_t>(kChunk) / 16 * kPanelRows;

constexpr int kPiece = 128;  // numbers of a sum that have one scale in class fp8dyn
constexpr int kRunLanes = kMaxPanels * kPanelRows;
constexpr int kReadRows = 32;  // weight rows that are read together; a tile of amx has as many
constexpr int kWidest = 512;   // columns that a run's lanes can touch: two of the widest blocks

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
  const std::size_t blocks = sizeof(float) * kReadRows * kWidest;
  const std::size_t codes = sizeof(bf16) * kPanelRows * kPiece;
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

// Panels whose lanes are columns of w.
void GemmRun::unpack_columns(const MatrixView& w, const PanelRun& run,
                             const RunBuffers& buffers) const {
  const bool fp8 = rule_.compute == ComputeClass::fp8dyn;
  if (fp8 && w.format != Format::f8_e4m3) return quantize_columns(w, run, buffers);
  for (int k = 0; fp8 && k < run.columns; k += kPiece) note_scales(w, run, k, buffers);
  if (w.format == Format::f32) {
    // A few rows for all panels: of each row the run's lanes lie together.
    const std::size_t stride = w.row_stride / sizeof(float);
    const float* rows =
        reinterpret_cast<const float*>(column_bytes(w, run.column, 0)) + run.first * kPanelRows;
    for (int k = 0; k < run.columns; k += kReadRows) {
      columns(rows + static_cast<std::size_t>(k) * stride, stride, w, run, k,
              std::min(kReadRows, run.columns - k), buffers);
    }
    return;
  }
  if (w.format == Format::bf16 && rule_.compute == ComputeClass::bf16) {
    const bf16* rows = reinterpret_cast<const bf16*>(column_bytes(w, run.column, 0));
    for (int p = 0; p < run.count; ++p) {
      const std::int64_t lane = (run.first + p) * kPanelRows;
      kernels_.panels.columns_bf16_rows(rows + lane, w.row_stride / sizeof(bf16), run.columns,
                                        lanes_of(w, run, p),
                                        reinterpret_cast<bf16*>(panel_of(buffers, run, p)));
    }
    return;
  }
  // Other formats by way of F32, from the first column of a block on. In class fp8dyn the codes
  // alone: their scales are noted.
  const std::int64_t lane = run.first * kPanelRows, block = info(w.format).block;
  const std::int64_t first = lane / block * block;
  const std::int64_t end =
      std::min(w.cols, (lane + run.count * kPanelRows + block - 1) / block * block);
  MatrixView plain = w;
  if (fp8) plain.scale_format = ScaleFormat::none;
  for (int k = 0; k < run.columns; k += kReadRows) {
    const int count = std::min(kReadRows, run.columns - k);
    for (int i = 0; i < count; ++i)
      read_row(kernels_, plain, run.column + k + i, first, end - first,
               buffers.blocks + i * kWidest);
    columns(buffers.blocks + (lane - first), kWidest, w, run, k, count, buffers);
  }
}

// Numbers [k, k + count) of all the run's panels from `rows`, which begin at the run's first lane.
void GemmRun::columns(const float* rows, std::size_t stride, const MatrixView& w,
                      const PanelRun& run, int k, int count, const RunBuffers& buffers) const {
  for (int p = 0; p < run.count; ++p) {
    const float* x = rows + p * kPanelRows;
    std::byte* out = panel_of(buffers, run, p);
    if (rule_.compute == ComputeClass::f32) {
      kernels_.panels.columns_f32(x, stride, count, lanes_of(w, run, p),
                                  reinterpret_cast<float*>(out) + k * kPanelRows);
    } else {
      kernels_.panels.columns_bf16(x, stride, count, lanes_of(w, run, p),
                                   reinterpret_cast<bf16*>(out) + k * kPanelRows);
    }
  }
}

// Lanes of panel p that exist, where they are columns.
int GemmRun::lanes_of(const MatrixView& w, const PanelRun& run, int p) {
  return static_cast<int>(
      std::min<std::int64_t>(kPanelRows, w.cols - (run.first + p) * kPanelRows));
}

// The scales of E4M3 weights that belong to numbers [k, k + 128) of the run's chunk.
void GemmRun::note_scales(const MatrixView& w, const PanelRun& run, int k,
                          const RunBuffers& buffers) const {
  for (int p = 0; p < run.count; ++p) {
    float* scale = buffers.scale + scales_of(run, p) + k / kPiece * kPanelRows;
    const std::int64_t lane = (run.first + p) * kPanelRows;
    for (int r = 0; r < lanes_of(w, run, p); ++r) {
      scale[r] =
          w.scale_format == ScaleFormat::none ? 1.0f : block_scale(w, run.column + k, lane + r);
    }
  }
}

// Class fp8dyn of F32 weights: a column's numbers are quantized here, 128 at a time.
void GemmRun::quantize_columns(const MatrixView& w, const PanelRun& run,
                               const RunBuffers& buffers) const {
  NAUTILE_ASSERT(w.format == Format::f32, "columns of {} are quantized", info(w.format).name);
  const kernels::PanelKernels& panels = kernels_.panels;
  for (int p = 0; p < run.count; ++p) {
    const std::int64_t lane = (run.first + p) * kPanelRows;
    const int lanes = lanes_of(w, run, p);
    for (int k = 0; k < run.columns; k += kPiece) {
      const int count = std::min(kPiece, run.columns - k);
      const float* from = reinterpret_cast<const float*>(column_bytes(w, run.column + k, lane));
      panels.transpose(from, w.row_stride / sizeof(float), count, lanes, buffers.rows, kPiece);
      float* scale = buffers.scale + scales_of(run, p) + k / kPiece * kPanelRows;
      for (int r = 0; r < lanes; ++r) {
        panels.pack_f8(buffers.rows + r * kPiece, count, f8_style(), f8_least(),
                       buffers.codes + r * kPiece, scale + r);
      }
      panels.interleave_bf16_rows(
          buffers.codes, kPiece, lanes, count,
          reinterpret_cast<bf16*>(panel_of(buffers, run, p)) + k * kPanelRows);
    }
  }
}

}  // namespace nautile
