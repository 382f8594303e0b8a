// format_ops_avx2.inl — pieces of the format decoders for AVX2 and F16C; see format_ops_plain.inl.
//
// Included inside a table's namespace, after <immintrin.h>.

#include "kernels/format_ops_bytes.inl"

NAUTILE_INLINE __m256 floats_of(__m128i eight) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(eight));
}

template <int kGroup, bool kAffine>
NAUTILE_INLINE void scale_codes(Codes x, const float* scale, const float* offset, float* out) {
  const __m128i halves[2] = {_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1)};
  for (int i = 0; i < 4; ++i) {
    const __m128i eight = i % 2 ? _mm_unpackhi_epi64(halves[i / 2], halves[i / 2]) : halves[i / 2];
    __m256 y = _mm256_mul_ps(_mm256_set1_ps(scale[8 * i / kGroup]), floats_of(eight));
    if constexpr (kAffine) y = _mm256_add_ps(y, _mm256_set1_ps(offset[8 * i / kGroup]));
    _mm256_storeu_ps(out + 8 * i, y);
  }
}

static void widen_f16(const u8* in, int count, float* out) {
  int i = 0;
  for (; i + 8 <= count; i += 8) {
    _mm256_storeu_ps(out + i, _mm256_cvtph_ps(load16(in + 2 * i)));
  }
  for (; i < count; ++i) out[i] = half_at(in + 2 * i);
}

static void widen_bf16(const u8* in, int count, float* out) {
  int i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m256i words = _mm256_cvtepu16_epi32(load16(in + 2 * i));
    _mm256_storeu_ps(out + i, _mm256_castsi256_ps(_mm256_slli_epi32(words, 16)));
  }
  for (; i < count; ++i) out[i] = bf16_at(in + 2 * i);
}

// An E4M3 byte with its exponent and fraction moved into a half float is 2^-8 of its value, its
// subnormals included; only NaN needs care.
static void widen_f8(const u8* in, int count, float* out) {
  const __m256i magnitude = _mm256_set1_epi16(0x3f80);
  const __m256 factor = _mm256_set1_ps(256.0f);
  int i = 0;
  for (; i + 16 <= count; i += 16) {
    const __m256i x = _mm256_cvtepi8_epi16(load16(in + i));  // the sign in the top bit
    const __m256i m = _mm256_and_si256(_mm256_slli_epi16(x, 7), magnitude);
    const __m256i nan =
        _mm256_and_si256(_mm256_cmpeq_epi16(m, magnitude), _mm256_set1_epi16(0x7e00));
    const __m256i sign = _mm256_and_si256(x, _mm256_set1_epi16(-0x8000));
    const __m256i halves = _mm256_or_si256(_mm256_or_si256(m, sign), nan);
    const __m256 a = _mm256_cvtph_ps(_mm256_castsi256_si128(halves));
    const __m256 b = _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1));
    _mm256_storeu_ps(out + i, _mm256_mul_ps(a, factor));
    _mm256_storeu_ps(out + i + 8, _mm256_mul_ps(b, factor));
  }
  for (; i < count; ++i) out[i] = f8_e4m3_to_float(in[i]);
}
