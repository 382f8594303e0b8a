// cpu_gemm.cpp — weight products on the CPU: pack inputs, unpack panels, multiply, write.
//
// The work is a list of panels (16 weight rows) over all products of the call, cut into one share
// per thread by cost. A thread walks its panels in runs of up to four: for each chunk of columns it
// unpacks the run into L1 and multiplies every input row with it. The sums of a run stay in a
// buffer [m, 64] between chunks, so each output is one chain in ascending k whatever the cutting.
#include <algorithm>
#include <cstring>

#include "backend/cpu_backend.h"
#include "base/error.h"

namespace nautile {
namespace {

using kernels::kChunk;
using kernels::kMaxPanels;
using kernels::kPanelRows;

// Input rows multiplied with one unpacked run: sums [256, 64] take 64 KiB.
constexpr std::int64_t kRowBlock = 256;

// Inputs of one distinct x, packed for a class.
struct PackedInput {
  const float* x = nullptr;
  std::size_t x_stride = 0;
  std::int64_t m = 0, cols = 0;
  std::byte* values = nullptr;
  std::size_t value_stride = 0;  // bytes
  float* scale = nullptr;
  std::size_t scale_stride = 0;
  std::int32_t* sums = nullptr;
  std::size_t sums_stride = 0;
};

// A thread's buffers for one run of panels.
struct RunBuffers {
  float* rows;            // [16, kChunk] one panel's rows as F32
  std::int8_t* integers;  // [16, kChunk]
  std::byte* panels;      // kMaxPanels panels in the class's order
  float* scale;           // [kMaxPanels][kChunk / 16][16]
  float* offset;
  float* sums;  // [kRowBlock, 64]
};

constexpr std::size_t kPanelBytes = static_cast<std::size_t>(kChunk) * kPanelRows * sizeof(float);
constexpr std::size_t kPanelScales = static_cast<std::size_t>(kChunk) / 16 * kPanelRows;

std::size_t padded(std::size_t bytes) {
  return (bytes + 63) / 64 * 64;
}

RunBuffers make_buffers(Workspace& workspace) {
  const std::size_t rows = sizeof(float) * kPanelRows * kChunk, integers = kPanelRows * kChunk;
  const std::size_t scales = sizeof(float) * kMaxPanels * kPanelScales;
  const std::size_t sums = sizeof(float) * kRowBlock * kMaxPanels * kPanelRows;
  std::byte* at = workspace.reserve(rows + integers + kMaxPanels * kPanelBytes + 2 * scales + sums);
  const auto take = [&at](std::size_t bytes) { return std::exchange(at, at + bytes); };
  RunBuffers buffers;
  buffers.panels = take(kMaxPanels * kPanelBytes);
  buffers.scale = reinterpret_cast<float*>(take(scales));
  buffers.offset = reinterpret_cast<float*>(take(scales));
  buffers.sums = reinterpret_cast<float*>(take(sums));
  buffers.rows = reinterpret_cast<float*>(take(rows));
  buffers.integers = reinterpret_cast<std::int8_t*>(take(integers));
  return buffers;
}

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

const std::byte* column_bytes(const MatrixView& w, std::int64_t row, std::int64_t column) {
  return w.data + static_cast<std::size_t>(row) * w.row_stride +
         row_bytes(w.format, static_cast<std::size_t>(column));
}

}  // namespace

// One call of products(): a class, its inputs, and the cutting.
class GemmRun {
 public:
  GemmRun(CpuBackend& backend, std::span<const Product> list, ComputeClass compute)
      : backend_(backend), kernels_(backend.kernels_), list_(list), class_(compute) {}

  void run() {
    pack_inputs();
    share_panels();
    backend_.pool_.run([this](int thread) { multiply_share(thread); });
  }

 private:
  void plan_input(PackedInput& input) const {
    const std::size_t cols = static_cast<std::size_t>(input.cols);
    switch (class_) {
      case ComputeClass::f32:
        break;
      case ComputeClass::bf16:
        input.value_stride = padded((cols + 1) / 2 * 4);
        break;
      case ComputeClass::i8:
        input.value_stride = padded(cols * kernels::kI8InputBytes);
        input.scale_stride = cols / 32;
        input.sums_stride = cols / 16;
        break;
      case ComputeClass::fp8dyn:
        input.value_stride = padded((cols + 1) / 2 * 4);
        input.scale_stride = (cols + 127) / 128;
        break;
    }
  }

  // Finds the distinct inputs, lays them out in the shared workspace, packs them in parallel by
  // row.
  void pack_inputs() {
    std::size_t bytes = 0;
    for (const Product& product : list_) {
      const auto same = [&](const PackedInput& i) {
        return i.x == product.x && i.x_stride == product.x_stride && i.m == product.m &&
               i.cols == product.w.cols;
      };
      auto found = std::find_if(inputs_.begin(), inputs_.end(), same);
      if (found == inputs_.end()) {
        PackedInput input{
            .x = product.x, .x_stride = product.x_stride, .m = product.m, .cols = product.w.cols};
        plan_input(input);
        const std::size_t m = static_cast<std::size_t>(input.m);
        bytes += padded(m * input.value_stride) + padded(m * input.scale_stride * 4) +
                 padded(m * input.sums_stride * 4);
        inputs_.push_back(input);
        found = inputs_.end() - 1;
      }
      input_of_.push_back(found - inputs_.begin());
    }
    if (class_ == ComputeClass::f32) return;
    std::byte* at = backend_.shared_.reserve(bytes);
    std::int64_t rows = 0;
    for (PackedInput& input : inputs_) {
      const std::size_t m = static_cast<std::size_t>(input.m);
      input.values = std::exchange(at, at + padded(m * input.value_stride));
      input.scale =
          reinterpret_cast<float*>(std::exchange(at, at + padded(m * input.scale_stride * 4)));
      input.sums = reinterpret_cast<std::int32_t*>(
          std::exchange(at, at + padded(m * input.sums_stride * 4)));
      rows += input.m;
    }
    const std::int64_t grain =
        std::max<std::int64_t>(1, 16384 / std::max<std::int64_t>(1, inputs_[0].cols));
    backend_.pool_.parallel_for(rows, grain, [&](std::int64_t begin, std::int64_t end, int) {
      std::int64_t first = 0;
      for (const PackedInput& input : inputs_) {
        for (std::int64_t i = std::max(begin, first); i < std::min(end, first + input.m); ++i) {
          pack_row(input, static_cast<std::size_t>(i - first));
        }
        first += input.m;
      }
    });
  }

  void pack_row(const PackedInput& input, std::size_t i) const {
    const float* x = input.x + i * input.x_stride;
    std::byte* values = input.values + i * input.value_stride;
    float* scale = input.scale + i * input.scale_stride;
    const int cols = static_cast<int>(input.cols);
    switch (class_) {
      case ComputeClass::f32:
        break;
      case ComputeClass::bf16:
        kernels_.panels.pack_bf16(x, cols, reinterpret_cast<bf16*>(values));
        break;
      case ComputeClass::i8:
        kernels_.panels.pack_i8(x, cols, values, scale, input.sums + i * input.sums_stride);
        break;
      case ComputeClass::fp8dyn:
        kernels_.panels.pack_f8(x, cols, f8_style(), reinterpret_cast<bf16*>(values), scale);
        break;
    }
  }

  // As the weights are scaled (DeepSeek-V3.1 model card).
  kernels::F8Scale f8_style() const {
    const ScaleFormat format = list_[0].w.scale_format;
    return format == ScaleFormat::e8m0 || format == ScaleFormat::f32_powers
               ? kernels::F8Scale::power_of_two
               : kernels::F8Scale::any;
  }

  // Cuts the panels of all products into one contiguous share per thread, near-equal in cost.
  void share_panels() {
    std::vector<double> cost(list_.size());
    double total = 0;
    for (std::size_t i = 0; i < list_.size(); ++i) {
      const Product& p = list_[i];
      cost[i] =
          static_cast<double>(p.w.cols) * (8.0 + static_cast<double>(p.m));  // unpack, multiply
      if (p.m == 0) cost[i] = 0;
      total += cost[i] * static_cast<double>(panels_of(p));
    }
    const int threads = backend_.pool_.threads();
    shares_.assign(static_cast<std::size_t>(threads) + 1, Position{list_.size(), 0});
    shares_[0] = {0, 0};
    double before = 0;
    int next = 1;
    for (std::size_t i = 0; i < list_.size(); ++i) {
      const double all = cost[i] * static_cast<double>(panels_of(list_[i]));
      while (next < threads && before + all >= total * next / threads) {
        const double inside = cost[i] > 0 ? (total * next / threads - before) / cost[i] : 0;
        shares_[static_cast<std::size_t>(next++)] = {i, static_cast<std::int64_t>(inside + 0.5)};
      }
      before += all;
    }
  }

  static std::int64_t panels_of(const Product& p) {
    return (p.w.rows + kPanelRows - 1) / kPanelRows;
  }

  struct Position {
    std::size_t product;
    std::int64_t panel;
  };

  void multiply_share(int thread) {
    const Position begin = shares_[static_cast<std::size_t>(thread)],
                   end = shares_[static_cast<std::size_t>(thread) + 1];
    RunBuffers buffers = make_buffers(backend_.workspaces_[static_cast<std::size_t>(thread)]);
    for (std::size_t i = begin.product; i <= end.product && i < list_.size(); ++i) {
      if (list_[i].m == 0) continue;
      const std::int64_t first = i == begin.product ? begin.panel : 0;
      const std::int64_t last = i == end.product ? end.panel : panels_of(list_[i]);
      for (std::int64_t panel = first; panel < last; panel += kMaxPanels) {
        const int count = static_cast<int>(std::min<std::int64_t>(kMaxPanels, last - panel));
        for (std::int64_t row = 0; row < list_[i].m; row += kRowBlock) {
          multiply_run(i, panel, count, row, buffers);
        }
      }
    }
  }

  // `count` panels from `panel` against input rows [row, row + kRowBlock).
  void multiply_run(std::size_t index, std::int64_t panel, int count, std::int64_t row,
                    RunBuffers& buffers) const {
    const Product& product = list_[index];
    const PackedInput& input = inputs_[static_cast<std::size_t>(input_of_[index])];
    const std::int64_t rows = std::min(kRowBlock, product.m - row);
    const std::size_t width = static_cast<std::size_t>(count) * kPanelRows;
    if (class_ == ComputeClass::i8 && product.m <= kernels::kFewRows &&
        kernels_.format(product.w.format).dot) {
      dot_run(product, input, panel, count, buffers.sums);
      return write(product, panel * kPanelRows, row, rows, width, buffers.sums);
    }
    std::memset(buffers.sums, 0, static_cast<std::size_t>(rows) * width * sizeof(float));
    for (std::int64_t column = 0; column < product.w.cols; column += kChunk) {
      const int columns = static_cast<int>(std::min<std::int64_t>(kChunk, product.w.cols - column));
      for (int p = 0; p < count; ++p)
        unpack(product.w, (panel + p) * kPanelRows, column, columns, p, buffers);
      const kernels::TileShape shape{static_cast<int>(rows), count, columns, width};
      multiply_chunk(product, input, row, column, shape, buffers);
    }
    write(product, panel * kPanelRows, row, rows, width, buffers.sums);
  }

  // One or two input rows: straight from the file's bytes.
  void dot_run(const Product& product, const PackedInput& input, std::int64_t panel, int count,
               float* sums) const {
    const kernels::I8Input x{input.values,       input.value_stride, input.scale,
                             input.scale_stride, input.sums,         input.sums_stride};
    for (int p = 0; p < count; ++p) {
      const std::int64_t row = (panel + p) * kPanelRows;
      kernels_.format(product.w.format)
          .dot(x, static_cast<int>(product.m), column_bytes(product.w, row, 0),
               product.w.row_stride,
               static_cast<int>(std::min<std::int64_t>(kPanelRows, product.w.rows - row)),
               static_cast<int>(product.w.cols), sums + p * kPanelRows,
               static_cast<std::size_t>(count) * kPanelRows);
    }
  }

  // One panel's columns, from the file's bytes to the class's panel order.
  void unpack(const MatrixView& w, std::int64_t row, std::int64_t column, int columns, int p,
              RunBuffers& buffers) const {
    const int rows = static_cast<int>(std::min<std::int64_t>(kPanelRows, w.rows - row));
    const kernels::FormatKernels& format = kernels_.format(w.format);
    const kernels::PanelKernels& panels = kernels_.panels;
    std::byte* out = buffers.panels + static_cast<std::size_t>(p) * panel_stride();
    if (class_ == ComputeClass::i8) {
      float* scale = buffers.scale + static_cast<std::size_t>(p) * kPanelScales;
      float* offset = buffers.offset + static_cast<std::size_t>(p) * kPanelScales;
      if (rows < kPanelRows) {
        std::memset(scale, 0, kPanelScales * sizeof(float));
        std::memset(offset, 0, kPanelScales * sizeof(float));
      }
      for (int r = 0; r < rows; ++r) {
        format.i8(column_bytes(w, row + r, column), columns, buffers.integers + r * kChunk,
                  scale + r, offset + r);
      }
      panels.interleave_i8(buffers.integers, kChunk, rows, columns, out);
      return;
    }
    if (w.format == Format::bf16 && class_ == ComputeClass::bf16) {
      panels.interleave_bf16_rows(reinterpret_cast<const bf16*>(column_bytes(w, row, column)),
                                  w.row_stride / 2, rows, columns, reinterpret_cast<bf16*>(out));
      return;
    }
    for (int r = 0; r < rows; ++r) {
      float* values = buffers.rows + r * kChunk;
      format.f32(column_bytes(w, row + r, column), columns, values);
      if (w.format == Format::f8_e4m3) scale_f8(w, row + r, column, columns, r, p, values, buffers);
    }
    if (class_ == ComputeClass::f32) {
      panels.interleave_f32(buffers.rows, kChunk, rows, columns, reinterpret_cast<float*>(out));
    } else {
      panels.interleave_bf16(buffers.rows, kChunk, rows, columns, reinterpret_cast<bf16*>(out));
    }
  }

  // fp8dyn keeps the codes and notes the scales; the other classes multiply them in.
  void scale_f8(const MatrixView& w, std::int64_t row, std::int64_t column, int columns, int lane,
                int p, float* values, RunBuffers& buffers) const {
    for (int c = 0; c < columns; c += 128) {
      const float scale =
          w.scale_format == ScaleFormat::none ? 1.0f : block_scale(w, row, column + c);
      if (class_ == ComputeClass::fp8dyn) {
        buffers.scale[static_cast<std::size_t>(p) * kPanelScales +
                      static_cast<std::size_t>(c / 128 * kPanelRows + lane)] = scale;
        continue;
      }
      for (int i = c; i < std::min(columns, c + 128); ++i) values[i] *= scale;
    }
  }

  // Bytes from panel to panel, as close together as the class allows.
  std::size_t panel_stride() const {
    switch (class_) {
      case ComputeClass::f32:
        return kPanelBytes;
      case ComputeClass::i8:
        return static_cast<std::size_t>(kChunk * kPanelRows * kernels_.panels.i8_panel_bytes);
      default:
        return kPanelBytes / 2;
    }
  }

  void multiply_chunk(const Product& product, const PackedInput& input, std::int64_t row,
                      std::int64_t column, const kernels::TileShape& shape,
                      const RunBuffers& buffers) const {
    const std::size_t first = static_cast<std::size_t>(row), at = static_cast<std::size_t>(column);
    const kernels::PanelKernels& panels = kernels_.panels;
    const std::byte* values = input.values + first * input.value_stride;
    switch (class_) {
      case ComputeClass::f32:
        panels.multiply_f32({product.x + first * product.x_stride + at, product.x_stride},
                            {reinterpret_cast<const float*>(buffers.panels), panel_stride() / 4},
                            shape, buffers.sums);
        break;
      case ComputeClass::bf16:
        panels.multiply_bf16({reinterpret_cast<const bf16*>(values) + at, input.value_stride / 2},
                             {reinterpret_cast<const bf16*>(buffers.panels), panel_stride() / 2},
                             shape, buffers.sums);
        break;
      case ComputeClass::i8: {
        const kernels::FormatKernels& format = kernels_.format(product.w.format);
        const kernels::I8Input x{values + at * kernels::kI8InputBytes,
                                 input.value_stride,
                                 input.scale + first * input.scale_stride + at / 32,
                                 input.scale_stride,
                                 input.sums + first * input.sums_stride + at / 16,
                                 input.sums_stride};
        panels.multiply_i8(x,
                           {buffers.panels, panel_stride(), buffers.scale,
                            format.offsets == kernels::Offsets::none ? nullptr : buffers.offset,
                            kPanelScales, format.group},
                           shape, buffers.sums);
        break;
      }
      case ComputeClass::fp8dyn:
        panels.multiply_f8(
            {reinterpret_cast<const bf16*>(values) + at, input.value_stride / 2,
             input.scale + first * input.scale_stride + at / 128, input.scale_stride},
            {reinterpret_cast<const bf16*>(buffers.panels), panel_stride() / 2, buffers.scale,
             kPanelScales},
            shape, buffers.sums);
        break;
    }
  }

  void write(const Product& product, std::int64_t column, std::int64_t row, std::int64_t rows,
             std::size_t width, const float* sums) const {
    const std::size_t columns = std::min(width, static_cast<std::size_t>(product.w.rows - column));
    for (std::int64_t i = 0; i < rows; ++i) {
      float* y = product.y + static_cast<std::size_t>(row + i) * product.y_stride + column;
      const float* sum = sums + static_cast<std::size_t>(i) * width;
      if (product.bias) {
        for (std::size_t c = 0; c < columns; ++c)
          y[c] = sum[c] + product.bias[column + static_cast<std::int64_t>(c)];
      } else {
        std::memcpy(y, sum, columns * sizeof(float));
      }
    }
  }

  CpuBackend& backend_;
  const kernels::Kernels& kernels_;
  std::span<const Product> list_;
  ComputeClass class_;
  std::vector<PackedInput> inputs_;
  std::vector<std::ptrdiff_t> input_of_;
  std::vector<Position> shares_;
};

ComputeClass CpuBackend::compute_class(Format format) const {
  const ComputeClass wanted = options_.compute_class.value_or(ComputeClass::bf16);
  if (options_.compute_class == ComputeClass::f32) return ComputeClass::f32;
  if (is_quantized(format))
    return options_.compute_class ? (wanted == ComputeClass::bf16 ? wanted : ComputeClass::i8)
                                  : ComputeClass::i8;
  if (format == Format::f8_e4m3)
    return wanted == ComputeClass::fp8dyn ? wanted : ComputeClass::bf16;
  if (format == Format::bf16) return ComputeClass::bf16;
  return options_.compute_class == ComputeClass::bf16 ? ComputeClass::bf16 : ComputeClass::f32;
}

void CpuBackend::products(std::span<const Product> list, std::optional<ComputeClass> forced) {
  // Products of one call may differ in format; each class makes its own pass.
  std::vector<Product> pass;
  for (int c = 0; c < kComputeClassCount; ++c) {
    const ComputeClass compute = static_cast<ComputeClass>(c);
    pass.clear();
    for (const Product& product : list) {
      if (forced.value_or(compute_class(product.w.format)) == compute && product.w.rows > 0)
        pass.push_back(product);
    }
    if (!pass.empty()) GemmRun(*this, pass, compute).run();
  }
}

void CpuBackend::products_transposed(std::span<const Product> list) {
  // Columns are cut into runs of whole blocks; a thread unpacks 64 weight rows of its run at a
  // time.
  constexpr std::int64_t kColumns = 256, kRows = 64;
  struct Piece {
    const Product* product;
    std::int64_t column;
  };
  std::vector<Piece> pieces;
  for (const Product& product : list) {
    for (std::int64_t column = 0; column < product.w.cols; column += kColumns)
      pieces.push_back({&product, column});
  }
  pool_.parallel_for(
      static_cast<std::int64_t>(pieces.size()), 1,
      [&](std::int64_t begin, std::int64_t end, int thread) {
        std::int64_t most = 1;
        for (std::int64_t i = begin; i < end; ++i)
          most = std::max(most, pieces[static_cast<std::size_t>(i)].product->m);
        float* rows =
            reinterpret_cast<float*>(workspaces_[static_cast<std::size_t>(thread)].reserve(
                static_cast<std::size_t>(kRows * kColumns + most) * sizeof(float)));
        float* ones = rows + kRows * kColumns;
        std::fill(ones, ones + most, 1.0f);
        for (std::int64_t i = begin; i < end; ++i) {
          const auto& [product, column] = pieces[static_cast<std::size_t>(i)];
          const MatrixView& w = product->w;
          const int columns = static_cast<int>(std::min(kColumns, w.cols - column));
          for (std::int64_t r = 0; r < product->m; ++r) {
            std::memset(product->y + static_cast<std::size_t>(r) * product->y_stride + column, 0,
                        static_cast<std::size_t>(columns) * 4);
          }
          for (std::int64_t row = 0; row < w.rows; row += kRows) {
            const std::int64_t count = std::min(kRows, w.rows - row);
            for (std::int64_t r = 0; r < count; ++r) {
              float* values = rows + r * kColumns;
              kernels_.format(w.format).f32(column_bytes(w, row + r, column), columns, values);
              if (w.scale_format == ScaleFormat::none) continue;
              for (int c = 0; c < columns; ++c) values[c] *= block_scale(w, row + r, column + c);
            }
            kernels_.attention.mix(
                product->x + row, product->x_stride, static_cast<int>(product->m), ones, rows,
                kColumns, static_cast<int>(count), columns, product->y + column, product->y_stride);
          }
        }
      });
}

}  // namespace nautile
