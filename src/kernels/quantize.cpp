// quantize.cpp — quantizers of the plain formats, of the 32-weight blocks and of F8 matrices.
#include "kernels/quantize.h"

#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/bf16.h"
#include "base/f8.h"

namespace nautile::kernels {
namespace {

using u8 = std::uint8_t;

constexpr int kBlock = 32;

void put_half(u8* out, float value) {
  const std::uint16_t bits = float_to_half(value);
  std::memcpy(out, &bits, 2);
}

// Truncation into [0, high]; NaN becomes 0.
int truncate(float value, int high) {
  if (!(value > 0.0f)) return 0;
  return value < static_cast<float>(high) ? static_cast<int>(value) : high;
}

float inverse_of(float d) {
  return d == 0.0f ? 0.0f : 1.0f / d;
}

// The first element of the largest magnitude, with its sign.
float signed_max(const float* x) {
  float best = x[0];
  for (int i = 1; i < kBlock; ++i) {
    if (std::fabs(x[i]) > std::fabs(best)) best = x[i];
  }
  return best;
}

// Low nibbles of codes 0…15 first; bit 4, if there is one, goes to `fifth`.
void put_codes(const int* codes, u8* nibbles, u8* fifth) {
  std::uint32_t high = 0;
  for (int i = 0; i < kBlock; ++i) high |= static_cast<std::uint32_t>(codes[i] >> 4) << i;
  for (int i = 0; i < kBlock / 2; ++i) {
    nibbles[i] = static_cast<u8>((codes[i] & 15) | (codes[i + 16] & 15) << 4);
  }
  if (fifth) std::memcpy(fifth, &high, 4);
}

void quantize_q8_0(const float* x, u8* out) {
  const float d = std::fabs(signed_max(x)) / 127.0f;
  const float inverse = inverse_of(d);
  put_half(out, d);
  for (int i = 0; i < kBlock; ++i) {
    const float q = std::round(x[i] * inverse);  // halves away from zero
    out[2 + i] = static_cast<u8>(truncate(std::fabs(q), 127) * (q < 0 ? -1 : 1));
  }
}

// Q4_0 and Q5_0: the element of the largest magnitude becomes the lowest code, -half.
void quantize_symmetric(const float* x, int half, u8* out, u8* nibbles, u8* fifth) {
  const float d = signed_max(x) / static_cast<float>(-half);
  const float inverse = inverse_of(d);
  put_half(out, d);
  int codes[kBlock];
  for (int i = 0; i < kBlock; ++i) {
    codes[i] = truncate(x[i] * inverse + (static_cast<float>(half) + 0.5f), 2 * half - 1);
  }
  put_codes(codes, nibbles, fifth);
}

// Q4_1 and Q5_1: from the minimum to the maximum in `steps` steps.
void quantize_affine(const float* x, int steps, u8* out, u8* nibbles, u8* fifth) {
  float low = x[0], high = x[0];
  for (int i = 1; i < kBlock; ++i) {
    if (x[i] < low) low = x[i];
    if (x[i] > high) high = x[i];
  }
  const float d = (high - low) / static_cast<float>(steps);
  const float inverse = inverse_of(d);
  put_half(out, d);
  put_half(out + 2, low);
  int codes[kBlock];
  for (int i = 0; i < kBlock; ++i) codes[i] = truncate((x[i] - low) * inverse + 0.5f, steps);
  put_codes(codes, nibbles, fifth);
}

void quantize_block(Format format, const float* x, std::byte* block) {
  u8* out = reinterpret_cast<u8*>(block);
  switch (format) {
    case Format::q8_0:
      return quantize_q8_0(x, out);
    case Format::q4_0:
      return quantize_symmetric(x, 8, out, out + 2, nullptr);
    case Format::q5_0:
      return quantize_symmetric(x, 16, out, out + 6, out + 2);
    case Format::q4_1:
      return quantize_affine(x, 15, out, out + 4, nullptr);
    case Format::q5_1:
      return quantize_affine(x, 31, out, out + 8, out + 4);
    case Format::iq4_nl:
      return quantize_iq4_nl(x, block);
    default:
      return quantize_super_block(format, x, block);
  }
}

void convert(Format format, const float* x, int count, u8* out) {
  if (format == Format::f32) {
    std::memcpy(out, x, static_cast<std::size_t>(count) * sizeof(float));
    return;
  }
  for (int i = 0; i < count; ++i) {
    if (format == Format::f16) put_half(out + 2 * i, x[i]);
    if (format == Format::f8_e4m3) out[i] = float_to_f8_e4m3(x[i]);
    if (format == Format::bf16) {
      const bf16 value = to_bf16(x[i]);
      std::memcpy(out + 2 * i, &value, 2);
    }
  }
}

// amax/448, or the smallest power of two that is not below it.
float f8_block_scale(float amax, F8Scale style) {
  if (!(amax > 0.0f)) return 1.0f;
  const float scale = amax / 448.0f;
  if (style == F8Scale::any) return scale;
  int exponent;
  const float fraction = std::frexp(scale, &exponent);  // [0.5, 1)
  return std::ldexp(1.0f, fraction == 0.5f ? exponent - 1 : exponent);
}

struct Box {
  int row, row_end, col, col_end;
};

float largest(const float* x, int cols, const Box& box) {
  float amax = 0;
  for (int r = box.row; r < box.row_end; ++r) {
    const float* row = x + static_cast<std::ptrdiff_t>(r) * cols;
    for (int c = box.col; c < box.col_end; ++c) {
      const float magnitude = std::fabs(row[c]);
      if (magnitude > amax) amax = magnitude;
    }
  }
  return amax;
}

void write_f8(const float* x, int cols, const Box& box, float scale, std::byte* out) {
  for (int r = box.row; r < box.row_end; ++r) {
    const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(r) * cols;
    for (int c = box.col; c < box.col_end; ++c) {
      out[row + c] = static_cast<std::byte>(float_to_f8_e4m3(x[row + c] / scale));
    }
  }
}

}  // namespace

void quantize_row(Format format, const float* x, int count, std::byte* out) noexcept {
  if (!is_quantized(format)) return convert(format, x, count, reinterpret_cast<u8*>(out));
  const FormatInfo& facts = info(format);
  for (int c = 0; c < count; c += facts.block, out += facts.block_bytes) {
    quantize_block(format, x + c, out);
  }
}

void quantize_f8_blocks(const float* x, int rows, int cols, F8Scale style, std::byte* out,
                        float* scales) noexcept {
  constexpr int kSide = 128;
  for (int r = 0; r < rows; r += kSide) {
    for (int c = 0; c < cols; c += kSide) {
      const Box box = {r, r + kSide < rows ? r + kSide : rows, c,
                       c + kSide < cols ? c + kSide : cols};
      const float scale = f8_block_scale(largest(x, cols, box), style);
      *scales++ = scale;
      write_f8(x, cols, box, scale, out);
    }
  }
}

}  // namespace nautile::kernels
