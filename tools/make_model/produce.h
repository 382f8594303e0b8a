// produce.h — makes the bytes of a tensor, many rows at a time on all threads, and hands them on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/format.h"
#include "base/parallel.h"
#include "kernels/kernels.h"

namespace nautile::make_model {

// Fills row `row` of a tensor as floats; called from several threads.
using FillRow = std::function<void(std::int64_t row, float* out)>;
using Sink = std::function<void(std::span<const std::byte>)>;

// rows × columns in `format`, in order, through a bounded buffer (about 16 MB).
void produce_rows(ThreadPool& pool, Format format, std::int64_t rows, std::int64_t columns,
                  const FillRow& fill, const Sink& sink);

// The same as F8_E4M3 with 128×128 scales: the values through `sink`; returns the scales
// [ceil(rows/128)][ceil(columns/128)].
std::vector<float> produce_f8(ThreadPool& pool, std::int64_t rows, std::int64_t columns,
                              kernels::F8Scale style, const FillRow& fill, const Sink& sink);

}  // namespace nautile::make_model
