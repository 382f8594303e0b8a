#include "backend/cpu_gradients.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/quantize.h"

namespace nautile {
namespace {

// Rows whose gradients of one gain are summed before they are added: part of the arithmetic, so
// that no sum depends on how many threads there are.
constexpr std::int64_t kRowChunk = 64;

// Numbers of one kernel call: lengths are ints there, and sums of squares are cut by it.
constexpr std::int64_t kRun = 1 << 16;

// Columns worth a thread of their own: a few cache lines, so that threads do not share them.
constexpr std::int64_t kColumnGrain = 64;

std::int64_t row_grain(std::int64_t width) {
  return std::max<std::int64_t>(1, 4096 / std::max<std::int64_t>(1, width));
}

// body(at, n) over [0, count) in runs that do not depend on the threads.
template <class Body>
void over_numbers(ThreadPool& pool, std::int64_t count, Body body) {
  pool.parallel_for((count + kRun - 1) / kRun, 1, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t i = begin; i < end; ++i)
      body(i * kRun, static_cast<int>(std::min(kRun, count - i * kRun)));
  });
}

// body(column, n) over runs of columns, one for each thread.
template <class Body>
void over_columns(ThreadPool& pool, std::int64_t columns, Body body) {
  const std::int64_t units = (columns + 15) / 16;
  pool.parallel_for(units, kColumnGrain / 16, [&](std::int64_t begin, std::int64_t end, int) {
    body(begin * 16, static_cast<int>(std::min(end * 16, columns) - begin * 16));
  });
}

}  // namespace

GradientBackend& CpuBackend::gradients() {
  if (!gradients_) gradients_ = std::make_unique<CpuGradients>(*this);
  return *gradients_;
}

void CpuBackend::log_sum_exp(Tensor logits, float* lse) {
  const int n = static_cast<int>(logits.cols());
  pool_.parallel_for(logits.rows(), row_grain(n), [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t i = begin; i < end; ++i) {
      float top;
      const float sum = kernels_.gradients.sum_exp(logits.row(i), n, &top);
      lse[i] = top + std::log(sum);
    }
  });
}

void CpuGradients::bias_gradient(Tensor dy, float* dw) {
  over_columns(pool_, dy.cols(), [&](std::int64_t column, int n) {
    for (std::int64_t t = 0; t < dy.rows(); t += kRowChunk) {
      kernels_.gradients.add_rows(dy.row(t) + column, static_cast<std::size_t>(dy.cols()),
                                  static_cast<int>(std::min(kRowChunk, dy.rows() - t)), n,
                                  dw + column);
    }
  });
}

void CpuGradients::embed_gradient(Tensor dy, std::span<const std::int32_t> tokens, float* dtable) {
  over_columns(pool_, dy.cols(), [&](std::int64_t column, int n) {
    for (std::int64_t t = 0; t < dy.rows(); ++t) {
      float* row = dtable + tokens[static_cast<std::size_t>(t)] * dy.cols() + column;
      kernels_.rows.add(row, dy.row(t) + column, n, row);
    }
  });
}

void CpuGradients::rms_norm_gradient(Tensor x, const float* gain, float eps, Tensor dy, Tensor dx,
                                     float* dgain) {
  const std::int64_t width = x.cols(), chunks = (x.rows() + kRowChunk - 1) / kRowChunk;
  float* partial = nullptr;  // [chunks, width]
  if (dgain) {
    const std::size_t bytes = static_cast<std::size_t>(chunks * width) * sizeof(float);
    partial = reinterpret_cast<float*>(backend_.shared_.reserve(bytes));
  }
  pool_.parallel_for(chunks, 1, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t chunk = begin; chunk < end; ++chunk) {
      float* sum = partial ? partial + chunk * width : nullptr;
      if (sum) std::fill(sum, sum + width, 0.0f);
      const std::int64_t last = std::min(x.rows(), (chunk + 1) * kRowChunk);
      for (std::int64_t t = chunk * kRowChunk; t < last; ++t) {
        kernels_.gradients.rms_norm(x.row(t), gain, static_cast<int>(width), eps, dy.row(t),
                                    dx.row(t), sum);
      }
    }
  });
  if (dgain) bias_gradient({partial, {chunks, width}}, dgain);
}

void CpuGradients::rope_gradient(float* dy, std::size_t row_stride, std::size_t head_stride,
                                 std::int64_t heads, std::span<const std::int32_t> positions,
                                 const float* cos, const float* sin, std::int64_t half,
                                 Backend::RopeOrder order) {
  const auto rotate =
      order == Backend::RopeOrder::pairs ? kernels_.rows.rope_pairs : kernels_.rows.rope_halves;
  const int n = static_cast<int>(half);
  pool_.parallel_for(static_cast<std::int64_t>(positions.size()), row_grain(heads * half * 2),
                     [&](std::int64_t begin, std::int64_t end, int thread) {
                       // The inverse of a rotation is that by the negative angle.
                       Workspace& workspace =
                           backend_.workspaces_[static_cast<std::size_t>(thread)];
                       float* back = reinterpret_cast<float*>(
                           workspace.reserve(static_cast<std::size_t>(half) * sizeof(float)));
                       for (std::size_t i = static_cast<std::size_t>(begin);
                            i < static_cast<std::size_t>(end); ++i) {
                         const std::int64_t angle = positions[i] * half;
                         kernels_.gradients.scale(sin + angle, -1.0f, n, back);
                         for (std::size_t h = 0; h < static_cast<std::size_t>(heads); ++h)
                           rotate(dy + i * row_stride + h * head_stride, cos + angle, back, n);
                       }
                     });
}

void CpuGradients::silu_mul_gradient(Tensor gate, Tensor up, Tensor dy, Tensor dgate, Tensor dup) {
  over_numbers(pool_, dy.elements(), [&](std::int64_t at, int n) {
    kernels_.gradients.silu_mul(gate.data + at, up.data + at, dy.data + at, n, dgate.data + at,
                                dup.data + at);
  });
}

void CpuGradients::combine_gradient(Tensor rows, const std::int32_t* slot, const float* weights,
                                    int chosen, Tensor dout, Tensor drows, float* dweights) {
  const int n = static_cast<int>(dout.cols());
  pool_.parallel_for(dout.rows(), row_grain(dout.cols() * chosen),
                     [&](std::int64_t begin, std::int64_t end, int) {
                       for (std::int64_t t = begin; t < end; ++t) {
                         for (std::int64_t k = t * chosen; k < (t + 1) * chosen; ++k) {
                           dweights[k] = kernels_.gradients.dot(rows.row(slot[k]), dout.row(t), n);
                           kernels_.gradients.scale(dout.row(t), weights[k], n, drows.row(slot[k]));
                         }
                       }
                     });
}

void CpuGradients::dispatch_gradient(Tensor drows, const std::int32_t* slot, int chosen,
                                     Tensor dx) {
  const int n = static_cast<int>(dx.cols());
  pool_.parallel_for(dx.rows(), row_grain(dx.cols() * chosen),
                     [&](std::int64_t begin, std::int64_t end, int) {
                       for (std::int64_t t = begin; t < end; ++t) {
                         std::memcpy(dx.row(t), drows.row(slot[t * chosen]),
                                     static_cast<std::size_t>(n) * sizeof(float));
                         for (std::int64_t k = t * chosen + 1; k < (t + 1) * chosen; ++k)
                           kernels_.rows.add(dx.row(t), drows.row(slot[k]), n, dx.row(t));
                       }
                     });
}

void CpuGradients::log_prob_gradient(Tensor logits, std::span<const std::int32_t> targets,
                                     const float* lse, const float* scale) {
  const int n = static_cast<int>(logits.cols());
  pool_.parallel_for(logits.rows(), row_grain(n), [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int32_t target = targets[static_cast<std::size_t>(i)];
      kernels_.gradients.log_prob(logits.row(i), n, lse[i], scale[i]);
      if (target >= 0) logits.row(i)[target] -= scale[i];
    }
  });
}

static kernels::AdamWFactors factors(const AdamWStep& s) {
  const auto wide = [](float x) { return static_cast<double>(x); };
  const auto narrow = [](double x) { return static_cast<float>(x); };
  return {.grad_scale = s.grad_scale,
          .beta1 = s.beta1,
          .rest1 = narrow(1 - wide(s.beta1)),
          .beta2 = s.beta2,
          .rest2 = narrow(1 - wide(s.beta2)),
          .keep = narrow(1 - wide(s.rate) * wide(s.decay)),
          .rate = narrow(wide(s.rate) / wide(s.correction1)),
          .root = narrow(1 / std::sqrt(wide(s.correction2))),
          .epsilon = s.epsilon};
}

void CpuGradients::adamw(const AdamWStep& step, std::int64_t n, const float* g, float* w, float* m,
                         float* v) {
  const kernels::AdamWFactors f = factors(step);
  over_numbers(pool_, n, [&](std::int64_t at, int count) {
    kernels_.gradients.adamw(f, g + at, count, w + at, m + at, v + at);
  });
}

void CpuGradients::adamw(const AdamWStep& step, std::int64_t n, const float* g, float* w, bf16* m,
                         bf16* v) {
  const kernels::AdamWFactors f = factors(step);
  over_numbers(pool_, n, [&](std::int64_t at, int count) {
    kernels_.gradients.adamw_bf16(f, g + at, count, w + at, m + at, v + at);
  });
}

void CpuGradients::quantize_f8(const float* w, std::int64_t rows, std::int64_t cols,
                               std::byte* codes, float* scales) {
  const std::int64_t bands = (rows + 127) / 128, scale_cols = (cols + 127) / 128;
  pool_.parallel_for(bands, 1, [&](std::int64_t begin, std::int64_t end, int) {
    for (std::int64_t band = begin; band < end; ++band) {
      const std::int64_t first = 128 * band;
      kernels::quantize_f8_blocks(w + first * cols,
                                  static_cast<int>(std::min<std::int64_t>(128, rows - first)),
                                  static_cast<int>(cols), kernels::F8Scale::any,
                                  codes + first * cols, scales + band * scale_cols);
    }
  });
}

double CpuGradients::sum_of_squares(const float* x, std::int64_t n) {
  const std::size_t runs = static_cast<std::size_t>((n + kRun - 1) / kRun);
  double* partial = reinterpret_cast<double*>(backend_.shared_.reserve(runs * sizeof(double)));
  over_numbers(pool_, n, [&](std::int64_t at, int count) {
    partial[at / kRun] = kernels_.gradients.sum_of_squares(x + at, count);
  });
  double sum = 0;
  for (std::size_t i = 0; i < runs; ++i) sum += partial[i];
  return sum;
}

void CpuGradients::accumulate(const float* x, std::int64_t n, float* y) {
  over_numbers(pool_, n, [&](std::int64_t at, int count) {
    kernels_.rows.add(y + at, x + at, count, y + at);
  });
}

void CpuGradients::blend(float a, const float* x, float b, std::int64_t n, float* y) {
  over_numbers(pool_, n, [&](std::int64_t at, int count) {
    kernels_.gradients.blend(a, x + at, b, count, y + at);
  });
}

}  // namespace nautile
