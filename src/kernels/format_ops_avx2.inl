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

// Eight halves, 2^-8 of the values they stand for.
NAUTILE_INLINE void store_f8(__m128i halves, float* out) {
  _mm256_storeu_ps(out, _mm256_mul_ps(_mm256_cvtph_ps(halves), _mm256_set1_ps(256.0f)));
}

// An E4M3 byte in the upper half of a word, moved down by one with its sign kept, is a half float
// of 2^-8 of its value, subnormals included. Blocks with a NaN, which has no such form, go the slow
// way.
static void widen_f8(const u8* in, int count, float* out) {
  const __m256i magnitude = _mm256_set1_epi8(0x7f);
  const __m256i keep = _mm256_set1_epi16(-0x4001);  // all but the copy of the sign
  const __m256i zero = _mm256_setzero_si256();
  int i = 0;
  for (; i + 32 <= count; i += 32) {
    const __m256i x =
        _mm256_permute4x64_epi64(load_codes(in + i), 0xd8);  // unpacks are per 128 bits
    const __m256i nan = _mm256_cmpeq_epi8(_mm256_and_si256(x, magnitude), magnitude);
    if (!_mm256_testz_si256(nan, nan)) {
      for (int j = i; j < i + 32; ++j) out[j] = f8_e4m3_to_float(in[j]);
      continue;
    }
    const __m256i a = _mm256_and_si256(_mm256_srai_epi16(_mm256_unpacklo_epi8(zero, x), 1), keep);
    const __m256i b = _mm256_and_si256(_mm256_srai_epi16(_mm256_unpackhi_epi8(zero, x), 1), keep);
    store_f8(_mm256_castsi256_si128(a), out + i);
    store_f8(_mm256_extracti128_si256(a, 1), out + i + 8);
    store_f8(_mm256_castsi256_si128(b), out + i + 16);
    store_f8(_mm256_extracti128_si256(b, 1), out + i + 24);
  }
  for (; i < count; ++i) out[i] = f8_e4m3_to_float(in[i]);
}
