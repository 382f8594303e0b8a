// format_ops_avx512.inl — pieces of the format decoders for AVX-512; see format_ops_plain.inl.
//
// Included inside a table's namespace, after <immintrin.h>. Codes stay in 256-bit registers: the
// stores of integers are bound by the store port, not by arithmetic.

#include "kernels/format_ops_bytes.inl"

template <int kGroup, bool kAffine>
NAUTILE_INLINE void scale_codes(Codes x, const float* scale, const float* offset, float* out) {
  const __m128i halves[2] = {_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1)};
  for (int i = 0; i < 2; ++i) {
    const __m512 values = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(halves[i]));
    __m512 y = _mm512_mul_ps(_mm512_set1_ps(scale[16 * i / kGroup]), values);
    if constexpr (kAffine) y = _mm512_add_ps(y, _mm512_set1_ps(offset[16 * i / kGroup]));
    _mm512_storeu_ps(out + 16 * i, y);
  }
}

NAUTILE_INLINE __m256i load32(const u8* p) {
  return load_codes(p);
}

static void widen_f16(const u8* in, int count, float* out) {
  int i = 0;
  for (; i + 16 <= count; i += 16) _mm512_storeu_ps(out + i, _mm512_cvtph_ps(load32(in + 2 * i)));
  for (; i < count; ++i) out[i] = half_at(in + 2 * i);
}

static void widen_bf16(const u8* in, int count, float* out) {
  int i = 0;
  for (; i + 16 <= count; i += 16) {
    const __m512i words = _mm512_slli_epi32(_mm512_cvtepu16_epi32(load32(in + 2 * i)), 16);
    _mm512_storeu_ps(out + i, _mm512_castsi512_ps(words));
  }
  for (; i < count; ++i) out[i] = bf16_at(in + 2 * i);
}

// As in format_ops_avx2.inl: through half floats, times 256.
static void widen_f8(const u8* in, int count, float* out) {
  const __m512i magnitude = _mm512_set1_epi16(0x3f80);
  const __m512i sign = _mm512_set1_epi16(-0x8000);
  const __m512 factor = _mm512_set1_ps(256.0f);
  int i = 0;
  for (; i + 32 <= count; i += 32) {
    const __m512i x = _mm512_cvtepi8_epi16(load32(in + i));
    const __m512i m = _mm512_and_si512(_mm512_slli_epi16(x, 7), magnitude);
    const __m512i with_nan = _mm512_mask_blend_epi16(_mm512_cmpeq_epi16_mask(m, magnitude), m,
                                                     _mm512_set1_epi16(0x7e00));
    const __m512i halves = _mm512_ternarylogic_epi32(with_nan, x, sign, 0xf8);  // a | (b & c)
    const __m512 a = _mm512_cvtph_ps(_mm512_castsi512_si256(halves));
    const __m512 b = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(halves, 1));
    _mm512_storeu_ps(out + i, _mm512_mul_ps(a, factor));
    _mm512_storeu_ps(out + i + 16, _mm512_mul_ps(b, factor));
  }
  for (; i < count; ++i) out[i] = f8_e4m3_to_float(in[i]);
}
