#include "backend/cpu_gemm.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace nautile {

using kernels::kChunk;
using kernels::kMaxPanels;
using kernels::kPanelRows;

// Chunks whose panels a thread keeps for all blocks of input rows: with the inputs they should stay
// in L2 (4 chunks in BF16 take 256 KiB). Longer sums are unpacked again for each block.
static constexpr std::int64_t kKeptChunks = 4;

void GemmRun::run() {
  find_inputs();
  if (many_rows()) return run_blocks();
  pack_inputs();
  share_panels();
  for (const Product& product : list_) {
    const std::int64_t chunks = (length(product) + kChunk - 1) / kChunk;
    if (product.m > kRowBlock && chunks <= kKeptChunks)
      kept_ = std::max(kept_, static_cast<std::size_t>(chunks));
  }
  backend_.pool_.run([this](int thread) { multiply_share(thread); });
}

// Cuts the panels of all products into one contiguous share per thread, near-equal in cost.
void GemmRun::share_panels() {
  std::vector<double> cost(list_.size());
  double total = 0;
  for (std::size_t i = 0; i < list_.size(); ++i) {
    const Product& p = list_[i];
    cost[i] =
        static_cast<double>(length(p)) * (8.0 + static_cast<double>(p.m));  // unpack, multiply
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
      shares_[static_cast<std::size_t>(next++)] = {i, std::llround(inside)};
    }
    before += all;
  }
}

void GemmRun::multiply_share(int thread) {
  const Position begin = shares_[static_cast<std::size_t>(thread)],
                 end = shares_[static_cast<std::size_t>(thread) + 1];
  RunBuffers buffers =
      make_buffers(backend_.workspaces_[static_cast<std::size_t>(thread)], kept_, 0);
  for (std::size_t i = begin.product; i <= end.product && i < list_.size(); ++i) {
    if (list_[i].m == 0) continue;
    const std::int64_t first = i == begin.product ? begin.panel : 0;
    const std::int64_t last = i == end.product ? end.panel : panels_of(list_[i]);
    for (std::int64_t panel = first; panel < last; panel += kMaxPanels) {
      multiply_panels(i, panel, static_cast<int>(std::min<std::int64_t>(kMaxPanels, last - panel)),
                      buffers);
    }
  }
}

// `count` panels from `panel` against all input rows of their product.
void GemmRun::multiply_panels(std::size_t index, std::int64_t panel, int count,
                              RunBuffers& buffers) const {
  const Product& product = list_[index];
  const PackedInput& input = inputs_[static_cast<std::size_t>(input_of_[index])];
  const std::size_t width = static_cast<std::size_t>(count) * kPanelRows;
  if (rule_.compute == ComputeClass::i8 &&
      product.m <= kernels_.format(product.w.format).dot_rows) {
    dot_run(product, input, panel, count, buffers.sums);
    return write(product, panel * kPanelRows, 0, product.m, width, buffers.sums);
  }
  const bool keep = length(product) <= static_cast<std::int64_t>(kept_) * kChunk;
  for (std::int64_t row = 0; row < product.m; row += kRowBlock) {
    const std::int64_t rows = std::min(kRowBlock, product.m - row);
    const Target target = target_of(product, panel, count, row, buffers);
    for (std::int64_t column = 0; column < length(product); column += kChunk) {
      const int columns =
          static_cast<int>(std::min<std::int64_t>(kChunk, length(product) - column));
      const PanelRun run{panel, count, column, columns,
                         keep ? static_cast<std::size_t>(column / kChunk) : 0};
      if (row == 0 || !keep) unpack(product.w, run, buffers);
      multiply_chunk(product, rows_of(input, row), run, rows, target, buffers);
    }
    if (!target.in_y) write(product, panel * kPanelRows, row, rows, width, buffers.sums);
  }
}

// Few input rows: straight from the file's bytes.
void GemmRun::dot_run(const Product& product, const PackedInput& input, std::int64_t panel,
                      int count, float* sums) const {
  const std::size_t width = static_cast<std::size_t>(count) * kPanelRows;
  for (int p = 0; p < count; ++p) {
    const std::int64_t row = (panel + p) * kPanelRows;
    // The weights are in the cache after the first inputs have met them.
    for (std::int64_t i = 0; i < product.m; i += kernels::kFewRows) {
      const InputRows x = rows_of(input, i);
      kernels_.format(product.w.format)
          .dot({x.values, x.value_stride, x.scale, x.scale_stride, x.sums, x.sums_stride},
               static_cast<int>(std::min<std::int64_t>(kernels::kFewRows, product.m - i)),
               column_bytes(product.w, row, 0), product.w.row_stride,
               static_cast<int>(std::min<std::int64_t>(kPanelRows, product.w.rows - row)),
               static_cast<int>(product.w.cols),
               sums + static_cast<std::size_t>(i) * width + p * kPanelRows, width);
    }
  }
}

GemmRun::InputRows GemmRun::rows_of(const PackedInput& input, std::int64_t row) const {
  if (rule_.compute == ComputeClass::f32 && rule_.inputs == SumOver::columns) {
    const float* x = input.x + static_cast<std::size_t>(row) * input.x_stride;
    return {reinterpret_cast<const std::byte*>(x),
            input.x_stride * sizeof(float),
            nullptr,
            0,
            nullptr,
            0};
  }
  const std::size_t i = static_cast<std::size_t>(row - input.first);
  return {input.values + i * input.value_stride, input.value_stride,
          input.scale + i * input.scale_stride,  input.scale_stride,
          input.sums + i * input.sums_stride,    input.sums_stride};
}

GemmRun::Target GemmRun::target_of(const Product& product, std::int64_t panel, int count,
                                   std::int64_t row, const RunBuffers& buffers) const {
  const bool whole = (panel + count) * kPanelRows <= lanes(product.w);
  const std::int64_t sum = length(product);
  if (sum == 0 || sum > kChunk || !whole || product.bias) {
    const std::size_t width = static_cast<std::size_t>(count) * kPanelRows;
    if (sum == 0) std::fill_n(buffers.sums, kRowBlock * static_cast<std::int64_t>(width), 0.0f);
    return {buffers.sums, width, false};
  }
  float* y = product.y + static_cast<std::size_t>(row) * product.y_stride + panel * kPanelRows;
  return {y, product.y_stride, true};
}

void GemmRun::multiply_chunk(const Product& product, const InputRows& x, const PanelRun& run,
                             std::int64_t rows, const Target& target,
                             const RunBuffers& buffers) const {
  const bool adds = target.in_y && rule_.write == GradientBackend::Write::add;
  const kernels::TileShape shape{static_cast<int>(rows), run.count, run.columns, target.stride,
                                 run.column > 0 ? kernels::Onto::continued
                                 : adds         ? kernels::Onto::added
                                                : kernels::Onto::replaced};
  const std::size_t at = static_cast<std::size_t>(run.column);
  const kernels::PanelKernels& panels = kernels_.panels;
  const std::byte* weights = panel_of(buffers, run, 0);
  const float* scale = buffers.scale + scales_of(run, 0);
  const std::size_t scale_stride = scales_of(run, 1) - scales_of(run, 0);
  switch (rule_.compute) {
    case ComputeClass::f32:
      panels.multiply_f32({reinterpret_cast<const float*>(x.values) + at, x.value_stride / 4},
                          {reinterpret_cast<const float*>(weights), panel_stride() / 4}, shape,
                          target.sums);
      break;
    case ComputeClass::bf16:
      panels.multiply_bf16({reinterpret_cast<const bf16*>(x.values) + at, x.value_stride / 2},
                           {reinterpret_cast<const bf16*>(weights), panel_stride() / 2}, shape,
                           target.sums);
      break;
    case ComputeClass::i8: {
      const kernels::FormatKernels& format = kernels_.format(product.w.format);
      const bool offsets = format.offsets != kernels::Offsets::none;
      panels.multiply_i8(
          {x.values + at * kernels::kI8InputBytes, x.value_stride, x.scale + at / 32,
           x.scale_stride, x.sums + at / 16, x.sums_stride},
          {weights, panel_stride(), scale, offsets ? buffers.offset + scales_of(run, 0) : nullptr,
           scale_stride, format.group},
          shape, target.sums);
      break;
    }
    case ComputeClass::fp8dyn:
      panels.multiply_f8(
          {reinterpret_cast<const bf16*>(x.values) + at, x.value_stride / 2, x.scale + at / 128,
           x.scale_stride},
          {reinterpret_cast<const bf16*>(weights), panel_stride() / 2, scale, scale_stride}, shape,
          target.sums);
      break;
  }
}

void GemmRun::write(const Product& product, std::int64_t column, std::int64_t row,
                    std::int64_t rows, std::size_t width, const float* sums) const {
  const std::size_t columns = std::min(width, static_cast<std::size_t>(lanes(product.w) - column));
  for (std::int64_t i = 0; i < rows; ++i) {
    float* y = product.y + static_cast<std::size_t>(row + i) * product.y_stride + column;
    const float* sum = sums + static_cast<std::size_t>(i) * width;
    if (rule_.write == GradientBackend::Write::add) {
      kernels_.rows.add(y, sum, static_cast<int>(columns), y);
    } else if (product.bias) {
      kernels_.rows.add(sum, product.bias + column, static_cast<int>(columns), y);
    } else {
      std::memcpy(y, sum, columns * sizeof(float));
    }
  }
}

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
    if (!pass.empty()) GemmRun(*this, pass, {.compute = compute}).run();
  }
}

}  // namespace nautile
