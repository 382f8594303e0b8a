// cpu_gemm.h — GemmRun: one call of weight products: pack inputs, unpack panels, multiply, write.
//
// Weights are multiplied in runs of up to four panels (16 lanes each), a chunk of the sum at a
// time. The sums of a run with a block of input rows stay in a buffer [rows, 64] between chunks, so
// each output is one chain in ascending k whatever the cutting. There are two orders of work:
//
// - few rows: inputs are packed first; the list of panels is cut into one share per thread, and a
//   thread unpacks each of its runs to multiply every row with it;
// - many rows (training): panels are unpacked first; the list of row blocks is cut, and a thread
//   packs each of its blocks, which then stay in L2 while all panels pass by.
#pragma once

#include <cstring>
#include <span>
#include <vector>

#include "backend/cpu_backend.h"

namespace nautile {

// What an operand's sums run over. A forward product sums over the columns of inputs and of
// weights; the gradient of its input over the rows of the weights; the gradient of its weights over
// the rows of both.
enum class SumOver : std::uint8_t { columns, rows };

// Input rows multiplied with one unpacked run: sums [256, 64] take 64 KiB.
inline constexpr std::int64_t kRowBlock = 256;

// Columns of x that are turned into packed rows together, and the numbers of a sum taken at a time:
// one scale of class fp8dyn, and a block [64, 128] stays in L1.
inline constexpr std::int64_t kTurnedRows = 64, kTurnedColumns = 128;

struct GemmRule {
  ComputeClass compute = ComputeClass::f32;
  SumOver inputs = SumOver::columns;   // rows: x is [k, m]
  SumOver weights = SumOver::columns;  // rows: y has w.cols columns
  GradientBackend::Write write = GradientBackend::Write::replace;
};

// The scale of the F8 block that holds an element.
float block_scale(const MatrixView& w, std::int64_t row, std::int64_t column);

// Where a column, the first of its block, lies.
inline const std::byte* column_bytes(const MatrixView& w, std::int64_t row, std::int64_t column) {
  return w.data + static_cast<std::size_t>(row) * w.row_stride +
         row_bytes(w.format, static_cast<std::size_t>(column));
}

// Columns [column, column + count) of a row in F32, with the scales of F8 blocks multiplied in.
void read_row(const kernels::Kernels& kernels, const MatrixView& w, std::int64_t row,
              std::int64_t column, std::int64_t count, float* out);

class GemmRun {
 public:
  // The products, and everything they point to, outlive the run.
  GemmRun(CpuBackend& backend, std::span<const Product> list, const GemmRule& rule)
      : backend_(backend), kernels_(backend.kernels_), list_(list), rule_(rule) {}

  void run();

 private:
  // Inputs of one distinct x, packed for a class: all rows, or a block of them.
  struct PackedInput {
    const float* x = nullptr;
    std::size_t x_stride = 0;
    std::int64_t m = 0, length = 0;  // rows of y; numbers in a sum
    std::int64_t first = 0;          // the first row that is packed
    std::byte* values = nullptr;
    std::size_t value_stride = 0;  // bytes
    float* scale = nullptr;
    std::size_t scale_stride = 0;
    std::int32_t* sums = nullptr;
    std::size_t sums_stride = 0;
  };

  // A thread's buffers for one run of panels.
  struct RunBuffers {
    std::byte* panels;      // [kept chunks][kMaxPanels] panels in the class's order
    float *scale, *offset;  // [kept chunks][kMaxPanels][kChunk / 16][16]
    float* sums;            // [kRowBlock, 64]
    float* rows;            // [16, kChunk] one panel's rows as F32
    float* blocks;          // [32, 512] weights whose columns are wanted, as F32
    std::int8_t* integers;  // [16, kChunk]
    bf16* codes;            // [16, 128] E4M3 values of weights quantized here
    std::byte* block;       // a packed block of input rows
  };

  // Panels [first, first + count) of a product against one chunk of the sum.
  struct PanelRun {
    std::int64_t first;
    int count;
    std::int64_t column;  // of the sum
    int columns;
    std::size_t slot;  // where the chunk's panels are kept
  };

  // Where the sums of a run of panels are made: in y if one chunk makes them whole, else apart.
  struct Target {
    float* sums;
    std::size_t stride;
    bool in_y;
  };

  // Row i of y is rows[i]·w, from a block's first row on.
  struct InputRows {
    const std::byte* values;
    std::size_t value_stride;
    const float* scale;
    std::size_t scale_stride;
    const std::int32_t* sums;
    std::size_t sums_stride;
  };

  // A run of panels that is unpacked before the rows come; products may share it.
  struct KeptRun {
    std::size_t product;
    std::int64_t panel;
    int count;
    std::byte* panels;
    float* scale;
  };

  // Panels [first, last) of a product, kept as runs from `run` on.
  struct Part {
    std::size_t product;
    std::int64_t first, last;
    std::size_t run;
  };

  struct RowBlock {
    std::size_t input;
    std::int64_t first, rows;
    double cost;
  };

  struct Position {
    std::size_t product;
    std::int64_t panel;
  };

  // cpu_gemm.cpp
  void share_panels();
  void multiply_share(int thread);
  void multiply_panels(std::size_t index, std::int64_t panel, int count, RunBuffers& buffers) const;
  void dot_run(const Product& product, const PackedInput& input, std::int64_t panel, int count,
               float* sums) const;
  InputRows rows_of(const PackedInput& input, std::int64_t row) const;
  Target target_of(const Product& product, std::int64_t panel, int count, std::int64_t row,
                   const RunBuffers& buffers) const;
  void multiply_chunk(const Product& product, const InputRows& x, const PanelRun& run,
                      std::int64_t rows, const Target& target, const RunBuffers& buffers) const;
  void write(const Product& product, std::int64_t column, std::int64_t row, std::int64_t rows,
             std::size_t width, const float* sums) const;

  // cpu_gemm_blocks.cpp
  bool many_rows() const;
  void run_blocks();
  void keep_part(std::size_t product, std::int64_t first, std::int64_t last);
  void run_group();
  void unpack_runs();
  std::vector<RowBlock> cut_blocks() const;
  PanelRun chunk_of(const KeptRun& run, std::int64_t column) const;
  void multiply_block(const RowBlock& block, RunBuffers& buffers) const;
  void multiply_kept(const Product& product, const KeptRun& run, const RowBlock& block,
                     const PackedInput& input, RunBuffers& buffers) const;

  // cpu_gemm_inputs.cpp
  void plan_input(PackedInput& input) const;
  void find_inputs();
  static std::size_t packed_bytes(const PackedInput& input, std::int64_t rows);
  static void place(PackedInput& input, std::int64_t rows, std::byte* at);
  void pack_inputs();
  void pack_row(const PackedInput& input, std::size_t i, std::size_t k, int count,
                const float* x) const;
  void pack_plain(const PackedInput& input, std::int64_t begin, std::int64_t end) const;
  void pack_turned(const PackedInput& input, std::int64_t begin, std::int64_t end,
                   float* turned) const;
  kernels::F8Scale f8_style() const;
  float f8_least() const;

  // cpu_gemm_panels.cpp
  // With room for the panels of `chunks` chunks and for a packed block.
  RunBuffers make_buffers(Workspace& workspace, std::size_t chunks, std::size_t block_bytes) const;
  std::size_t panel_stride() const;
  std::byte* panel_of(const RunBuffers& buffers, const PanelRun& run, int p) const;
  static std::size_t scale_stride();
  static std::size_t scales_of(const PanelRun& run, int p);
  void unpack(const MatrixView& w, const PanelRun& run, const RunBuffers& buffers) const;
  void unpack_rows(const MatrixView& w, const PanelRun& run, int p,
                   const RunBuffers& buffers) const;
  void unpack_columns(const MatrixView& w, const PanelRun& run, const RunBuffers& buffers) const;
  void unpack_integers(const MatrixView& w, const PanelRun& run, int p,
                       const RunBuffers& buffers) const;
  void columns(const float* rows, std::size_t stride, const MatrixView& w, const PanelRun& run,
               int k, int count, const RunBuffers& buffers) const;
  static int lanes_of(const MatrixView& w, const PanelRun& run, int p);
  void note_scales(const MatrixView& w, const PanelRun& run, int k,
                   const RunBuffers& buffers) const;
  void quantize_columns(const MatrixView& w, const PanelRun& run, const RunBuffers& buffers) const;

  // Numbers in a sum, and outputs of a row, of a product.
  std::int64_t length(const Product& p) const {
    return rule_.weights == SumOver::columns ? p.w.cols : p.w.rows;
  }
  std::int64_t lanes(const MatrixView& w) const {
    return rule_.weights == SumOver::columns ? w.rows : w.cols;
  }
  std::int64_t panels_of(const Product& p) const {
    return (lanes(p.w) + kernels::kPanelRows - 1) / kernels::kPanelRows;
  }

  CpuBackend& backend_;
  const kernels::Kernels& kernels_;
  std::span<const Product> list_;
  GemmRule rule_;
  std::vector<PackedInput> inputs_;
  std::vector<std::ptrdiff_t> input_of_;
  std::vector<Position> shares_;
  std::size_t kept_ = 1;  // few rows: chunks of a sum whose panels are kept for all of them
  std::vector<Part> parts_;
  std::vector<KeptRun> runs_;
};

}  // namespace nautile
