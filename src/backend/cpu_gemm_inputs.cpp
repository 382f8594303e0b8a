// cpu_gemm_inputs.cpp — inputs of products, packed for a class once for all weights they meet.
#include <algorithm>
#include <utility>

#include "backend/cpu_gemm.h"

namespace nautile {
namespace {

std::size_t padded(std::size_t bytes) {
  return (bytes + 63) / 64 * 64;
}

// Bytes from row to row of `pairs` BF16 pairs. Products read the same columns of many rows one
// after the other: rows a power of two apart would share a few sets of the first cache.
std::size_t spread(std::size_t pairs) {
  const std::size_t lines = padded(4 * pairs) / 64;
  return 64 * (lines % 8 == 0 ? lines + 1 : lines);
}

}  // namespace

void GemmRun::plan_input(PackedInput& input) const {
  const std::size_t length = static_cast<std::size_t>(input.length);
  switch (rule_.compute) {
    case ComputeClass::f32:
      if (rule_.inputs == SumOver::rows) input.value_stride = padded(length * sizeof(float));
      break;
    case ComputeClass::bf16:
      input.value_stride = spread((length + 1) / 2);
      break;
    case ComputeClass::i8:
      input.value_stride = padded(length * kernels::kI8InputBytes);
      input.scale_stride = length / 32;
      input.sums_stride = length / 16;
      break;
    case ComputeClass::fp8dyn:
      input.value_stride = spread((length + 1) / 2);
      input.scale_stride = (length + 127) / 128;
      break;
  }
}

std::size_t GemmRun::packed_bytes(const PackedInput& input, std::int64_t rows) {
  const std::size_t m = static_cast<std::size_t>(rows);
  return padded(m * input.value_stride) + padded(m * input.scale_stride * 4) +
         padded(m * input.sums_stride * 4);
}

// Lays `rows` packed rows out in memory of packed_bytes().
void GemmRun::place(PackedInput& input, std::int64_t rows, std::byte* at) {
  const std::size_t m = static_cast<std::size_t>(rows);
  input.values = std::exchange(at, at + padded(m * input.value_stride));
  input.scale =
      reinterpret_cast<float*>(std::exchange(at, at + padded(m * input.scale_stride * 4)));
  input.sums = reinterpret_cast<std::int32_t*>(at);
}

// Finds the distinct inputs.
void GemmRun::find_inputs() {
  for (const Product& product : list_) {
    const auto same = [&](const PackedInput& i) {
      return i.x == product.x && i.x_stride == product.x_stride && i.m == product.m &&
             i.length == length(product);
    };
    auto found = std::find_if(inputs_.begin(), inputs_.end(), same);
    if (found == inputs_.end()) {
      PackedInput input{
          .x = product.x, .x_stride = product.x_stride, .m = product.m, .length = length(product)};
      plan_input(input);
      inputs_.push_back(input);
      found = inputs_.end() - 1;
    }
    input_of_.push_back(found - inputs_.begin());
  }
}

// Packs all rows in parallel: by row, or by runs of columns that become rows.
void GemmRun::pack_inputs() {
  std::size_t bytes = 0;
  for (const PackedInput& input : inputs_) bytes += packed_bytes(input, input.m);
  if (bytes > 0) {
    std::byte* at = backend_.shared_.reserve(bytes);
    for (PackedInput& input : inputs_)
      place(input, input.m, std::exchange(at, at + packed_bytes(input, input.m)));
  }
  const bool turned = rule_.inputs == SumOver::rows;
  if (rule_.compute == ComputeClass::f32 && !turned) return;
  const std::int64_t unit = turned ? kTurnedRows : 1;
  const auto units_of = [&](const PackedInput& input) { return (input.m + unit - 1) / unit; };
  std::int64_t units = 0;
  for (const PackedInput& input : inputs_) units += units_of(input);
  const std::int64_t grain =
      std::max<std::int64_t>(1, 16384 / std::max<std::int64_t>(1, inputs_[0].length * unit));
  backend_.pool_.parallel_for(units, grain, [&](std::int64_t begin, std::int64_t end, int thread) {
    float* block = nullptr;
    if (turned) {
      block =
          reinterpret_cast<float*>(backend_.workspaces_[static_cast<std::size_t>(thread)].reserve(
              sizeof(float) * kTurnedRows * kTurnedColumns));
    }
    std::int64_t first = 0;
    for (const PackedInput& input : inputs_) {
      const std::int64_t from = std::max(begin, first) - first,
                         to = std::min(end, first + units_of(input)) - first;
      for (std::int64_t i = from; i < to; ++i) {
        if (turned) {
          pack_turned(input, i * unit, std::min(input.m, (i + 1) * unit), block);
        } else {
          pack_plain(input, i, i + 1);
        }
      }
      first += units_of(input);
    }
  });
}

// Rows [begin, end) of y as they lie in x.
void GemmRun::pack_plain(const PackedInput& input, std::int64_t begin, std::int64_t end) const {
  for (std::int64_t i = begin; i < end; ++i) {
    pack_row(input, static_cast<std::size_t>(i - input.first), 0, static_cast<int>(input.length),
             input.x + static_cast<std::size_t>(i) * input.x_stride);
  }
}

// `count` numbers of packed row i from its k-th on; k is even, and a multiple of a scale's columns.
void GemmRun::pack_row(const PackedInput& input, std::size_t i, std::size_t k, int count,
                       const float* x) const {
  std::byte* values = input.values + i * input.value_stride;
  float* scale = input.scale + i * input.scale_stride;
  switch (rule_.compute) {
    case ComputeClass::f32:
      std::memcpy(values + 4 * k, x, static_cast<std::size_t>(count) * sizeof(float));
      break;
    case ComputeClass::bf16:
      kernels_.panels.pack_bf16(x, count, reinterpret_cast<bf16*>(values) + k);
      break;
    case ComputeClass::i8:
      kernels_.panels.pack_i8(x, count, values, scale, input.sums + i * input.sums_stride);
      break;
    case ComputeClass::fp8dyn:
      kernels_.panels.pack_f8(x, count, f8_style(), f8_least(), reinterpret_cast<bf16*>(values) + k,
                              scale + k / 128);
      break;
  }
}

// Rows [begin, end) of y, at most 64, from the columns of x [k, m]; `turned` is [64, 128].
void GemmRun::pack_turned(const PackedInput& input, std::int64_t begin, std::int64_t end,
                          float* turned) const {
  const int rows = static_cast<int>(end - begin);
  const std::size_t to = static_cast<std::size_t>(begin - input.first);
  std::byte* values = input.values + to * input.value_stride;
  const float* columns = input.x + begin;
  if (rule_.compute == ComputeClass::bf16) {
    return kernels_.panels.turn_to_bf16(columns, input.x_stride, static_cast<int>(input.length),
                                        rows, reinterpret_cast<bf16*>(values),
                                        input.value_stride / sizeof(bf16));
  }
  if (rule_.compute == ComputeClass::f32) {
    return kernels_.panels.transpose(columns, input.x_stride, static_cast<int>(input.length), rows,
                                     reinterpret_cast<float*>(values),
                                     input.value_stride / sizeof(float));
  }
  for (std::int64_t k = 0; k < input.length; k += kTurnedColumns) {
    const int count = static_cast<int>(std::min(kTurnedColumns, input.length - k));
    kernels_.panels.transpose(columns + static_cast<std::size_t>(k) * input.x_stride,
                              input.x_stride, count, rows, turned, kTurnedColumns);
    for (int r = 0; r < rows; ++r) {
      pack_row(input, to + static_cast<std::size_t>(r), static_cast<std::size_t>(k), count,
               turned + r * kTurnedColumns);
    }
  }
}

// As the weights are scaled (DeepSeek-V3.1 model card).
kernels::F8Scale GemmRun::f8_style() const {
  const ScaleFormat format = list_[0].w.scale_format;
  return format == ScaleFormat::e8m0 || format == ScaleFormat::f32_powers
             ? kernels::F8Scale::power_of_two
             : kernels::F8Scale::any;
}

float GemmRun::f8_least() const {
  return rule_.weights == SumOver::columns ? kernels::kF8LeastInput : kernels::kF8LeastGradient;
}

}  // namespace nautile
