#include "backend/cpu_backend.h"

#include <sys/mman.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>

#include "backend/cpu_gemm.h"
#include "base/error.h"
#include "kernels/quantize.h"

namespace nautile {

void Workspace::Free::operator()(std::byte* p) const {
  std::free(p);
}

static constexpr std::size_t kHugePage = 2 << 20;

std::byte* Workspace::reserve(std::size_t bytes) {
  if (bytes > size_) {
    // Panels are read again and again: what fills huge pages gets them.
    const std::size_t page = bytes < 2 * kHugePage ? 4096 : kHugePage;
    const std::size_t size = (bytes + page - 1) / page * page;
    memory_.reset(static_cast<std::byte*>(std::aligned_alloc(page, size)));
    if (!memory_) fail(ErrorKind::no_memory, "cannot allocate {} bytes of working memory", size);
    if (page == kHugePage) ::madvise(memory_.get(), size, MADV_HUGEPAGE);
    size_ = size;
  }
  return memory_.get();
}

MatrixView MatrixView::slice(std::int64_t begin, std::int64_t count) const {
  NAUTILE_ASSERT(begin >= 0 && count >= 0 && begin + count <= rows, "rows {}+{} of {}", begin,
                 count, rows);
  MatrixView part = *this;
  part.data += static_cast<std::size_t>(begin) * row_stride;
  part.rows = count;
  part.first_row += begin;
  return part;
}

MatrixView matrix(const Weight& weight, std::int64_t index) {
  const bool stack = weight.shape.rank() == 3;
  const std::int64_t rows = weight.shape.rank() == 1 ? 1 : weight.shape[stack ? 1 : 0];
  NAUTILE_ASSERT(
      weight.present() && index >= 0 && (index == 0 || (stack && index < weight.shape[0])),
      "matrix {} of {}", index, weight.name);
  MatrixView view;
  view.format = weight.format;
  view.row_stride = weight.row_stride();
  view.data = weight.data + static_cast<std::size_t>(index * rows) * view.row_stride;
  view.rows = rows;
  view.cols = weight.cols();
  view.scale_format = weight.scale_format;
  if (weight.scale_format != ScaleFormat::none) {
    const std::size_t one =
        weight.scale_bytes() / static_cast<std::size_t>(stack ? weight.shape[0] : 1);
    view.scales = weight.scales + static_cast<std::size_t>(index) * one;
  }
  return view;
}

CpuBackend::CpuBackend(const CpuOptions& options)
    : CpuBackend(options, kernels::table(options.isa)) {}

CpuBackend::CpuBackend(const CpuOptions& options, const kernels::Kernels& table)
    : kernels_(table),
      options_(options),
      pool_(options.threads),
      workspaces_(static_cast<std::size_t>(options.threads)) {}

std::string CpuBackend::describe() const {
  return fmt::format("cpu, table {}, {} thread{}", name(options_.isa), pool_.threads(),
                     pool_.threads() == 1 ? "" : "s");
}

// Rows worth a thread of their own: about 16 KiB of numbers.
static std::int64_t row_grain(std::int64_t width) {
  return std::max<std::int64_t>(1, 4096 / std::max<std::int64_t>(1, width));
}

void CpuBackend::embed(const Weight& table, std::span<const std::int32_t> tokens, Tensor y) {
  const MatrixView w = matrix(table);
  pool_.parallel_for(y.rows(), row_grain(y.cols()), [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t i = begin; i < end; ++i) {
      read_row(kernels_, w, tokens[static_cast<std::size_t>(i)], 0, w.cols, y.row(i));
    }
  });
}

void CpuBackend::rms_norm(const float* x, std::size_t x_stride, std::int64_t rows,
                          const float* gain, std::int64_t width, float eps, float* y,
                          std::size_t y_stride) {
  pool_.parallel_for(rows, row_grain(width), [&](std::int64_t begin, std::int64_t end, int) {
    for (std::size_t i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      kernels_.rows.rms_norm(x + i * x_stride, gain, static_cast<int>(width), eps,
                             y + i * y_stride);
    }
  });
}

void CpuBackend::rope(float* x, std::size_t row_stride, std::size_t head_stride, std::int64_t heads,
                      std::span<const std::int32_t> positions, const float* cos, const float* sin,
                      std::int64_t half, RopeOrder order) {
  const auto rotate =
      order == RopeOrder::pairs ? kernels_.rows.rope_pairs : kernels_.rows.rope_halves;
  const std::int64_t rows = static_cast<std::int64_t>(positions.size());
  pool_.parallel_for(rows, row_grain(heads * half * 2),
                     [&](std::int64_t begin, std::int64_t end, int) {
                       for (std::size_t i = static_cast<std::size_t>(begin);
                            i < static_cast<std::size_t>(end); ++i) {
                         const std::int64_t angle = positions[i] * half;
                         for (std::size_t h = 0; h < static_cast<std::size_t>(heads); ++h) {
                           rotate(x + i * row_stride + h * head_stride, cos + angle, sin + angle,
                                  static_cast<int>(half));
                         }
                       }
                     });
}

void CpuBackend::silu_mul(Tensor gate, Tensor up, Tensor y) {
  pool_.parallel_for(y.elements(), 4096, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t at = begin; at < end; at += 1 << 20) {
      const int n = static_cast<int>(std::min<std::int64_t>(1 << 20, end - at));
      kernels_.rows.silu_mul(gate.data + at, up.data + at, n, y.data + at);
    }
  });
}

void CpuBackend::add(Tensor a, Tensor b, Tensor y) {
  pool_.parallel_for(y.elements(), 16384, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t at = begin; at < end; at += 1 << 20) {
      const int n = static_cast<int>(std::min<std::int64_t>(1 << 20, end - at));
      kernels_.rows.add(a.data + at, b.data + at, n, y.data + at);
    }
  });
}

void CpuBackend::store_rows(const float* x, std::size_t x_stride, std::int64_t rows,
                            std::int64_t width, Format format, std::byte* const* out) {
  pool_.parallel_for(rows, row_grain(width), [&](std::int64_t begin, std::int64_t end, int) {
    for (std::size_t i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i) {
      const float* row = x + i * x_stride;
      if (format == Format::bf16) {
        kernels_.rows.to_bf16(row, static_cast<int>(width), reinterpret_cast<bf16*>(out[i]));
      } else {
        kernels::quantize_row(format, row, static_cast<int>(width), out[i]);
      }
    }
  });
}

void CpuBackend::load_rows(const KvRows& rows, std::int64_t count, Format format, Tensor y) {
  pool_.parallel_for(count, row_grain(y.cols()), [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t p = begin; p < end; ++p)
      kernels_.format(format).f32(rows.row(p), static_cast<int>(y.cols()), y.row(p));
  });
}

void CpuBackend::gather(Tensor x, std::span<const std::int32_t> index, Tensor y) {
  pool_.parallel_for(y.rows(), row_grain(y.cols()), [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t i = begin; i < end; ++i) {
      std::memcpy(y.row(i), x.row(index[static_cast<std::size_t>(i)]),
                  static_cast<std::size_t>(y.cols()) * sizeof(float));
    }
  });
}

void CpuBackend::combine(Tensor rows, const std::int32_t* slot, const float* weights, int chosen,
                         Tensor out) {
  pool_.parallel_for(out.rows(), row_grain(out.cols() * chosen),
                     [&](std::int64_t begin, std::int64_t end, int) {
                       for (std::int64_t t = begin; t < end; ++t) {
                         for (std::int64_t k = t * chosen; k < (t + 1) * chosen; ++k) {
                           kernels_.rows.add_scaled(rows.row(slot[k]), weights[k],
                                                    static_cast<int>(out.cols()), out.row(t));
                         }
                       }
                     });
}

std::unique_ptr<Backend> make_cpu_backend(const CpuOptions& options) {
  return std::make_unique<CpuBackend>(options);
}

}  // namespace nautile
