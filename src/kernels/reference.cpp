// reference.cpp — the kernel table in naive scalar C++: the specification every table is tested
// against. Weight products follow the stated order exactly, so the f32 and i8 classes of the vector
// tables agree with it to the bit.
#include <cmath>
#include <cstring>

#include "base/f8.h"
#include "kernels/kernels.h"

namespace nautile::kernels::reference {
namespace {

constexpr int kR = kPanelRows;

// ---- rows -------------------------------------------------------------------------------------

void rms_norm(const float* x, const float* gain, int n, float eps, float* y) noexcept {
  double sum = 0;
  for (int i = 0; i < n; ++i) sum += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  const float r = 1.0f / std::sqrt(static_cast<float>(sum / n) + eps);
  for (int i = 0; i < n; ++i) y[i] = x[i] * r * gain[i];
}

void silu_mul(const float* gate, const float* up, int n, float* y) noexcept {
  for (int i = 0; i < n; ++i) y[i] = gate[i] / (1.0f + std::exp(-gate[i])) * up[i];
}

void add(const float* a, const float* b, int n, float* y) noexcept {
  for (int i = 0; i < n; ++i) y[i] = a[i] + b[i];
}

void add_scaled(const float* x, float s, int n, float* y) noexcept {
  for (int i = 0; i < n; ++i) y[i] = std::fma(x[i], s, y[i]);
}

void rope_pairs(float* x, const float* cos, const float* sin, int half) noexcept {
  for (int i = 0; i < half; ++i) {
    const float a = x[2 * i], b = x[2 * i + 1];
    x[2 * i] = a * cos[i] - b * sin[i];
    x[2 * i + 1] = b * cos[i] + a * sin[i];
  }
}

void rope_halves(float* x, const float* cos, const float* sin, int half) noexcept {
  for (int i = 0; i < half; ++i) {
    const float a = x[i], b = x[half + i];
    x[i] = a * cos[i] - b * sin[i];
    x[half + i] = b * cos[i] + a * sin[i];
  }
}

void row_to_bf16(const float* x, int n, bf16* y) noexcept {
  for (int i = 0; i < n; ++i) y[i] = to_bf16(x[i]);
}

void row_from_bf16(const bf16* x, int n, float* y) noexcept {
  for (int i = 0; i < n; ++i) y[i] = to_float(x[i]);
}

// ---- panels: [k][16], pairs of BF16 [k/2][16][2], integers as 16 bits [k/2][16][2] ----

void interleave_f32(const float* x, std::size_t stride, int rows, int count,
                    float* panel) noexcept {
  for (int k = 0; k < count; ++k) {
    for (int r = 0; r < kR; ++r)
      panel[k * kR + r] =
          r < rows ? x[static_cast<std::size_t>(r) * stride + static_cast<std::size_t>(k)] : 0.0f;
  }
}

bf16 rounded(float x) {
  return to_bf16(x);
}
bf16 rounded(bf16 x) {
  return x;
}

template <class T>
void interleave_pairs(const T* x, std::size_t stride, int rows, int count, bf16* panel) noexcept {
  for (int k = 0; k < (count + 31) / 32 * 32; ++k) {
    for (int r = 0; r < kR; ++r) {
      const bool inside = r < rows && k < count;
      panel[(k / 2 * kR + r) * 2 + k % 2] =
          inside ? rounded(x[static_cast<std::size_t>(r) * stride + static_cast<std::size_t>(k)])
                 : bf16{0};
    }
  }
}

void columns_f32(const float* x, std::size_t stride, int rows, int lanes, float* panel) noexcept {
  for (int k = 0; k < rows; ++k) {
    for (int r = 0; r < kR; ++r)
      panel[k * kR + r] =
          r < lanes ? x[static_cast<std::size_t>(k) * stride + static_cast<std::size_t>(r)] : 0.0f;
  }
}

template <class T>
void columns_pairs(const T* x, std::size_t stride, int rows, int lanes, bf16* panel) noexcept {
  for (int k = 0; k < (rows + 31) / 32 * 32; ++k) {
    for (int r = 0; r < kR; ++r) {
      const bool inside = r < lanes && k < rows;
      panel[(k / 2 * kR + r) * 2 + k % 2] =
          inside ? rounded(x[static_cast<std::size_t>(k) * stride + static_cast<std::size_t>(r)])
                 : bf16{0};
    }
  }
}

void turn_to_bf16(const float* x, std::size_t stride, int rows, int columns, bf16* y,
                  std::size_t y_stride) noexcept {
  for (std::size_t c = 0; c < static_cast<std::size_t>(columns); ++c) {
    for (std::size_t r = 0; r < static_cast<std::size_t>((rows + 1) / 2 * 2); ++r)
      y[c * y_stride + r] =
          r < static_cast<std::size_t>(rows) ? to_bf16(x[r * stride + c]) : bf16{0};
  }
}

void interleave_i8(const std::int8_t* q, std::size_t stride, int rows, int count,
                   std::byte* panel) noexcept {
  for (int k = 0; k < count; ++k) {
    for (int r = 0; r < kR; ++r) {
      const std::int16_t value =
          r < rows ? q[static_cast<std::size_t>(r) * stride + static_cast<std::size_t>(k)]
                   : std::int16_t{0};
      std::memcpy(panel + ((k / 2 * kR + r) * 2 + k % 2) * 2, &value, 2);
    }
  }
}

void pack_bf16(const float* x, int count, bf16* out) noexcept {
  row_to_bf16(x, count, out);
  if (count & 1) out[count] = bf16{0};
}

void pack_i8(const float* x, int count, std::byte* q, float* scale, std::int32_t* sums) noexcept {
  for (int g = 0; g < count / 32; ++g) {
    float amax = 0;
    for (int c = 0; c < 32; ++c) amax = std::fmax(amax, std::fabs(x[32 * g + c]));
    scale[g] = amax / kI8InputMax;
    const float inverse = amax > 0 ? kI8InputMax / amax : 0.0f;
    sums[2 * g] = sums[2 * g + 1] = 0;
    for (int c = 0; c < 32; ++c) {
      const std::int16_t value = static_cast<std::int16_t>(std::nearbyint(x[32 * g + c] * inverse));
      std::memcpy(q + (32 * g + c) * 2, &value, 2);
      sums[2 * g + c / 16] += value;
    }
  }
}

void pack_f8(const float* x, int count, F8Scale style, float least, bf16* q,
             float* scale) noexcept {
  for (int slab = 0; slab * 128 < count; ++slab) {
    const int end = slab * 128 + 128 < count ? slab * 128 + 128 : count;
    float amax = least;
    for (int c = slab * 128; c < end; ++c) amax = std::fmax(amax, std::fabs(x[c]));
    float s = amax / 448.0f;
    if (style == F8Scale::power_of_two) s = std::exp2(std::ceil(std::log2(s)));
    scale[slab] = s;
    for (int c = slab * 128; c < end; ++c)
      q[c] = to_bf16(f8_e4m3_to_float(float_to_f8_e4m3(x[c] / s)));
  }
  if (count & 1) q[count] = bf16{0};
}

// Calls one(i, panel, lane, sum&) for every output of the shape.
template <class One>
void each_output(const TileShape& shape, float* y, One one) noexcept {
  for (int i = 0; i < shape.m; ++i) {
    for (int n = 0; n < shape.panels * kR; ++n) {
      float& to = y[static_cast<std::size_t>(i) * shape.y_stride + static_cast<std::size_t>(n)];
      float sum = shape.onto == Onto::continued ? to : 0.0f;
      one(static_cast<std::size_t>(i), static_cast<std::size_t>(n / kR),
          static_cast<std::size_t>(n % kR), sum);
      to = shape.onto == Onto::added ? to + sum : sum;
    }
  }
}

void multiply_f32(const F32Input& x, const F32Panels& w, const TileShape& shape,
                  float* y) noexcept {
  each_output(shape, y, [&](std::size_t i, std::size_t p, std::size_t lane, float& sum) {
    for (std::size_t k = 0; k < static_cast<std::size_t>(shape.count); ++k) {
      sum = std::fma(x.x[i * x.stride + k], w.w[p * w.stride + k * kR + lane], sum);
    }
  });
}

float dot_pairs(const bf16* x, const bf16* w, std::size_t lane, std::size_t count, float sum) {
  for (std::size_t k = 0; k < count; ++k) {
    sum = std::fma(to_float(x[k]), to_float(w[(k / 2 * kR + lane) * 2 + k % 2]), sum);
  }
  return sum;
}

void multiply_f32_bf16(const F32Input& x, const Bf16Panels& w, const TileShape& shape,
                       float* y) noexcept {
  each_output(shape, y, [&](std::size_t i, std::size_t p, std::size_t lane, float& sum) {
    for (std::size_t k = 0; k < static_cast<std::size_t>(shape.count); ++k) {
      sum = std::fma(x.x[i * x.stride + k],
                     to_float(w.w[p * w.stride + (k / 2 * kR + lane) * 2 + k % 2]), sum);
    }
  });
}

void multiply_bf16(const Bf16Input& x, const Bf16Panels& w, const TileShape& shape,
                   float* y) noexcept {
  each_output(shape, y, [&](std::size_t i, std::size_t p, std::size_t lane, float& sum) {
    sum = dot_pairs(x.x + i * x.stride, w.w + p * w.stride, lane,
                    static_cast<std::size_t>(shape.count), sum);
  });
}

void multiply_f8(const F8Input& x, const F8Panels& w, const TileShape& shape, float* y) noexcept {
  each_output(shape, y, [&](std::size_t i, std::size_t p, std::size_t lane, float& sum) {
    const std::size_t count = static_cast<std::size_t>(shape.count);
    for (std::size_t slab = 0; slab * 128 < count; ++slab) {
      const std::size_t length = count - slab * 128 < 128 ? count - slab * 128 : 128;
      const float part = dot_pairs(x.q + i * x.q_stride + slab * 128,
                                   w.q + p * w.q_stride + slab * 128 * kR, lane, length, 0.0f);
      const float scale =
          x.scale[i * x.scale_stride + slab] * w.scale[p * w.scale_stride + slab * kR + lane];
      sum = std::fma(part, scale, sum);
    }
  });
}

void multiply_i8(const I8Input& x, const I8Panels& w, const TileShape& shape, float* y) noexcept {
  const std::size_t group = static_cast<std::size_t>(w.group);
  each_output(shape, y, [&](std::size_t i, std::size_t p, std::size_t lane, float& sum) {
    for (std::size_t g = 0; g * group < static_cast<std::size_t>(shape.count); ++g) {
      std::int32_t dot = 0, input_sum = 0;
      for (std::size_t k = g * group; k < (g + 1) * group; ++k) {
        std::int16_t a, b;
        std::memcpy(&a, x.q + i * x.q_stride + k * 2, 2);
        std::memcpy(&b, w.q + p * w.q_stride + ((k / 2 * kR + lane) * 2 + k % 2) * 2, 2);
        dot += a * b;
        input_sum += a;
      }
      const float sx = x.scale[i * x.scale_stride + g * group / 32];
      const std::size_t at = p * w.scale_stride + g * kR + lane;
      sum = std::fma(static_cast<float>(dot), w.scale[at] * sx, sum);
      if (w.offset) sum = std::fma(w.offset[at], sx * static_cast<float>(input_sum), sum);
    }
  });
}

// ---- attention ----------------------------------------------------------------------------------

void softmax_block(float* scores, std::size_t stride, int m, const int* valid, float scale,
                   float* max, float* sum, float* factor) noexcept {
  for (int i = 0; i < m; ++i) {
    float* s = scores + static_cast<std::size_t>(i) * stride;
    float top = max[i];
    for (int j = 0; j < valid[i]; ++j) top = std::fmax(top, s[j] * scale);
    factor[i] = valid[i] == 0 ? 1.0f : std::exp(max[i] - top);
    float total = 0;
    for (int j = 0; j < kKeyBlock; ++j) {
      s[j] = j < valid[i] ? std::exp(std::fma(s[j], scale, -top)) : 0.0f;
      total += s[j];
    }
    sum[i] = sum[i] * factor[i] + total;
    max[i] = top;
  }
}

float widened(float x) {
  return x;
}
float widened(bf16 x) {
  return to_float(x);
}

template <class Value>
void mix(const float* p, std::size_t p_stride, int m, const float* factor, const Value* v,
         std::size_t v_stride, int keys, int cols, float* out, std::size_t out_stride) noexcept {
  for (std::size_t i = 0; i < static_cast<std::size_t>(m); ++i) {
    for (std::size_t c = 0; c < static_cast<std::size_t>(cols); ++c) {
      float sum = out[i * out_stride + c] * factor[i];
      for (std::size_t j = 0; j < static_cast<std::size_t>(keys); ++j) {
        sum = std::fma(p[i * p_stride + j], widened(v[j * v_stride + c]), sum);
      }
      out[i * out_stride + c] = sum;
    }
  }
}

#include "kernels/formats.inl"
#include "kernels/gradients_reference.inl"

}  // namespace

extern const Kernels table;
const Kernels table = {
    .isa = Isa::reference,
    .rows = {.rms_norm = rms_norm,
             .silu_mul = silu_mul,
             .add = add,
             .add_scaled = add_scaled,
             .rope_pairs = rope_pairs,
             .rope_halves = rope_halves,
             .to_bf16 = row_to_bf16,
             .from_bf16 = row_from_bf16},
    .panels = {.interleave_f32 = interleave_f32,
               .interleave_bf16 = interleave_pairs<float>,
               .interleave_bf16_rows = interleave_pairs<bf16>,
               .interleave_i8 = interleave_i8,
               .columns_f32 = columns_f32,
               .columns_bf16 = columns_pairs<float>,
               .columns_bf16_rows = columns_pairs<bf16>,
               .i8_panel_bytes = 2,
               .bf16_tiles = false,
               .transpose = transpose_rows,
               .pack_bf16 = pack_bf16,
               .turn_to_bf16 = turn_to_bf16,
               .pack_i8 = pack_i8,
               .pack_f8 = pack_f8,
               .multiply_f32 = multiply_f32,
               .multiply_f32_bf16 = multiply_f32_bf16,
               .multiply_bf16 = multiply_bf16,
               .multiply_i8 = multiply_i8,
               .multiply_f8 = multiply_f8},
    .attention = {.softmax_block = softmax_block, .mix = mix<float>, .mix_bf16 = mix<bf16>},
    .gradients = kGradientTable,
    .formats = kFormatTable};

}  // namespace nautile::kernels::reference
