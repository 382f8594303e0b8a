#include "make_model/produce.h"

#include <algorithm>
#include <vector>

#include "kernels/quantize.h"

namespace nautile::make_model {
namespace {
constexpr std::int64_t kBufferBytes = std::int64_t{16} << 20;
constexpr std::int64_t kScaleBlock = 128;
}  // namespace

void produce_rows(ThreadPool& pool, Format format, std::int64_t rows, std::int64_t columns,
                  const FillRow& fill, const Sink& sink) {
  const std::size_t stride = row_bytes(format, static_cast<std::size_t>(columns));
  const std::int64_t step =
      std::clamp(kBufferBytes / std::max<std::int64_t>(1, static_cast<std::int64_t>(stride)),
                 std::int64_t{1}, std::max<std::int64_t>(1, rows));
  std::vector<std::byte> buffer(static_cast<std::size_t>(step) * stride);
  for (std::int64_t start = 0; start < rows; start += step) {
    const std::int64_t count = std::min(step, rows - start);
    pool.parallel_for(count, 1, [&](std::int64_t begin, std::int64_t end, int) {
      std::vector<float> values(static_cast<std::size_t>(columns));
      for (std::int64_t i = begin; i < end; ++i) {
        fill(start + i, values.data());
        kernels::quantize_row(format, values.data(), static_cast<int>(columns),
                              buffer.data() + static_cast<std::size_t>(i) * stride);
      }
    });
    sink(std::span(buffer).first(static_cast<std::size_t>(count) * stride));
  }
}

std::vector<float> produce_f8(ThreadPool& pool, std::int64_t rows, std::int64_t columns,
                              kernels::F8Scale style, const FillRow& fill, const Sink& sink) {
  const std::int64_t bands = (rows + kScaleBlock - 1) / kScaleBlock;
  const std::int64_t scale_columns = (columns + kScaleBlock - 1) / kScaleBlock;
  std::vector<float> scales(static_cast<std::size_t>(bands * scale_columns));
  const std::int64_t step =
      std::clamp(kBufferBytes / (kScaleBlock * columns), std::int64_t{1}, bands);
  std::vector<std::byte> buffer(static_cast<std::size_t>(step * kScaleBlock * columns));
  for (std::int64_t start = 0; start < bands; start += step) {
    const std::int64_t count = std::min(step, bands - start);
    pool.parallel_for(count, 1, [&](std::int64_t begin, std::int64_t end, int) {
      std::vector<float> values(static_cast<std::size_t>(kScaleBlock * columns));
      for (std::int64_t band = begin; band < end; ++band) {
        const std::int64_t first = (start + band) * kScaleBlock;
        const std::int64_t here = std::min(kScaleBlock, rows - first);
        for (std::int64_t r = 0; r < here; ++r) fill(first + r, values.data() + r * columns);
        kernels::quantize_f8_blocks(values.data(), static_cast<int>(here),
                                    static_cast<int>(columns), style,
                                    buffer.data() + band * kScaleBlock * columns,
                                    scales.data() + (start + band) * scale_columns);
      }
    });
    const std::int64_t made = std::min(count * kScaleBlock, rows - start * kScaleBlock);
    sink(std::span(buffer).first(static_cast<std::size_t>(made * columns)));
  }
  return scales;
}

}  // namespace nautile::make_model
