// cpu_gemm_blocks.cpp — products of many rows: all panels are unpacked first, then blocks of input
// rows are packed and multiplied with them. Inputs are read once and never written packed to
// memory.
#include <algorithm>
#include <utility>

#include "backend/cpu_gemm.h"

namespace nautile {

using kernels::kChunk;
using kernels::kMaxPanels;
using kernels::kPanelRows;

namespace {

constexpr std::int64_t kManyRows = 256;          // per product, on average
constexpr std::size_t kGroupBytes = 8u << 20;    // of panels kept at a time: they stay in L3
constexpr std::int64_t kBlockBytes = 512 << 10;  // of packed rows: they stay in L2

std::int64_t chunks_of(std::int64_t length) {
  return (length + kChunk - 1) / kChunk;
}

std::size_t runs_of(std::int64_t panels) {
  return static_cast<std::size_t>((panels + kMaxPanels - 1) / kMaxPanels);
}

bool same_weights(const MatrixView& a, const MatrixView& b) {
  return a.data == b.data && a.row_stride == b.row_stride && a.rows == b.rows && a.cols == b.cols &&
         a.scales == b.scales && a.first_row == b.first_row && a.format == b.format;
}

}  // namespace

bool GemmRun::many_rows() const {
  std::int64_t rows = 0;
  for (const Product& product : list_) rows += product.m;
  return rule_.compute != ComputeClass::i8 &&
         rows >= kManyRows * static_cast<std::int64_t>(list_.size());
}

// Takes as many panels at a time as may be kept.
void GemmRun::run_blocks() {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < list_.size(); ++i) {
    if (list_[i].m == 0) continue;
    const std::size_t one = static_cast<std::size_t>(length(list_[i]) * kPanelRows) *
                            (rule_.compute == ComputeClass::f32 ? 4 : 2);
    for (std::int64_t panel = 0; panel < panels_of(list_[i]);) {
      const std::size_t room = (kGroupBytes - bytes) / std::max<std::size_t>(1, one);
      const std::int64_t whole =
          std::max<std::int64_t>(static_cast<std::int64_t>(room) / kMaxPanels, 1) * kMaxPanels;
      const std::int64_t last = std::min(panels_of(list_[i]), panel + whole);
      keep_part(i, panel, last);
      bytes += static_cast<std::size_t>(last - panel) * one;
      panel = last;
      if (bytes + kMaxPanels * one <= kGroupBytes) continue;
      run_group();
      bytes = 0;
    }
  }
  if (!parts_.empty()) run_group();
}

// Panels that another part of the group has already are not kept twice.
void GemmRun::keep_part(std::size_t product, std::int64_t first, std::int64_t last) {
  for (const Part& part : parts_) {
    if (part.first == first && part.last == last &&
        same_weights(list_[part.product].w, list_[product].w)) {
      const std::size_t run = part.run;
      parts_.push_back({product, first, last, run});
      return;
    }
  }
  parts_.push_back({product, first, last, runs_.size()});
  for (std::int64_t panel = first; panel < last; panel += kMaxPanels) {
    const int count = static_cast<int>(std::min<std::int64_t>(kMaxPanels, last - panel));
    runs_.push_back({product, panel, count, nullptr, nullptr});
  }
}

void GemmRun::run_group() {
  unpack_runs();
  const std::vector<RowBlock> blocks = cut_blocks();
  double total = 0;
  std::size_t bytes = 0;
  for (const RowBlock& block : blocks) {
    total += block.cost;
    bytes = std::max(bytes, packed_bytes(inputs_[block.input], block.rows));
  }
  backend_.pool_.run([&](int thread) {
    RunBuffers buffers =
        make_buffers(backend_.workspaces_[static_cast<std::size_t>(thread)], 0, bytes);
    const int threads = backend_.pool_.threads();
    const double begin = total * thread / threads, end = total * (thread + 1) / threads;
    double before = 0;
    for (const RowBlock& block : blocks) {
      const double middle = before + block.cost / 2;
      before += block.cost;
      if (middle >= begin && middle < end) multiply_block(block, buffers);
    }
  });
  parts_.clear();
  runs_.clear();
}

// Lays the group's runs out in the shared workspace and unpacks them in parallel.
void GemmRun::unpack_runs() {
  const auto slots = [&](const KeptRun& run) {
    return static_cast<std::size_t>(chunks_of(length(list_[run.product])) * kMaxPanels);
  };
  const auto scale_bytes = [&](const KeptRun& run) {
    return rule_.compute == ComputeClass::fp8dyn ? slots(run) * scale_stride() * sizeof(float) : 0;
  };
  std::size_t bytes = 0;
  for (const KeptRun& run : runs_) bytes += slots(run) * panel_stride() + scale_bytes(run);
  std::byte* at = backend_.shared_.reserve(bytes);
  for (KeptRun& run : runs_) {
    run.panels = std::exchange(at, at + slots(run) * panel_stride());
    run.scale = reinterpret_cast<float*>(std::exchange(at, at + scale_bytes(run)));
  }
  backend_.pool_.parallel_for(
      static_cast<std::int64_t>(runs_.size()), 1,
      [&](std::int64_t begin, std::int64_t end, int thread) {
        RunBuffers buffers =
            make_buffers(backend_.workspaces_[static_cast<std::size_t>(thread)], 0, 0);
        for (std::size_t i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end);
             ++i) {
          const Product& product = list_[runs_[i].product];
          buffers.panels = runs_[i].panels;
          buffers.scale = runs_[i].scale;
          for (std::int64_t column = 0; column < length(product); column += kChunk)
            unpack(product.w, chunk_of(runs_[i], column), buffers);
        }
      });
}

// A kept run's part of the sum that begins at `column`.
GemmRun::PanelRun GemmRun::chunk_of(const KeptRun& run, std::int64_t column) const {
  const std::int64_t left = length(list_[run.product]) - column;
  return {run.panel, run.count, column, static_cast<int>(std::min<std::int64_t>(kChunk, left)),
          static_cast<std::size_t>(column / kChunk)};
}

// Blocks of the inputs that meet the group's panels, in the order of the inputs.
std::vector<GemmRun::RowBlock> GemmRun::cut_blocks() const {
  std::vector<std::int64_t> panels(inputs_.size());
  for (const Part& part : parts_)
    panels[static_cast<std::size_t>(input_of_[part.product])] += part.last - part.first;
  std::vector<RowBlock> blocks;
  for (std::size_t i = 0; i < inputs_.size(); ++i) {
    const PackedInput& input = inputs_[i];
    if (panels[i] == 0) continue;
    const std::int64_t row_bytes =
        std::max<std::int64_t>(1, input.length) * (rule_.compute == ComputeClass::f32 ? 4 : 2);
    const std::int64_t rows = std::clamp<std::int64_t>(
        kBlockBytes / row_bytes / kTurnedRows * kTurnedRows, kTurnedRows, kRowBlock);
    for (std::int64_t first = 0; first < input.m; first += rows) {
      const std::int64_t count = std::min(rows, input.m - first);
      blocks.push_back({i, first, count,
                        static_cast<double>(count) * static_cast<double>(panels[i]) *
                            static_cast<double>(input.length + 1)});
    }
  }
  return blocks;
}

// Packs a block and multiplies it with all panels of the group that want it.
void GemmRun::multiply_block(const RowBlock& block, RunBuffers& buffers) const {
  PackedInput input = inputs_[block.input];
  input.first = block.first;
  place(input, block.rows, buffers.block);
  const std::int64_t end = block.first + block.rows;
  if (rule_.inputs == SumOver::rows) {
    for (std::int64_t row = block.first; row < end; row += kTurnedRows)
      pack_turned(input, row, std::min(end, row + kTurnedRows), buffers.rows);
  } else if (rule_.compute != ComputeClass::f32) {
    pack_plain(input, block.first, end);
  }
  for (const Part& part : parts_) {
    if (static_cast<std::size_t>(input_of_[part.product]) != block.input) continue;
    for (std::size_t i = 0; i < runs_of(part.last - part.first); ++i)
      multiply_kept(list_[part.product], runs_[part.run + i], block, input, buffers);
  }
}

void GemmRun::multiply_kept(const Product& product, const KeptRun& run, const RowBlock& block,
                            const PackedInput& input, RunBuffers& buffers) const {
  buffers.panels = run.panels;
  buffers.scale = run.scale;
  const Target target = target_of(product, run.panel, run.count, block.first, buffers);
  for (std::int64_t column = 0; column < input.length; column += kChunk) {
    multiply_chunk(product, rows_of(input, block.first), chunk_of(run, column), block.rows, target,
                   buffers);
  }
  if (target.in_y) return;
  write(product, run.panel * kPanelRows, block.first, block.rows,
        static_cast<std::size_t>(run.count) * kPanelRows, buffers.sums);
}

}  // namespace nautile
