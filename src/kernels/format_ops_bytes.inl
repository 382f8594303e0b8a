// format_ops_bytes.inl — the byte half of the format ops in 256-bit registers, for AVX2 and
// AVX-512.

#include "kernels/format_ops_common.inl"

using Codes = __m256i;

NAUTILE_INLINE __m128i load16(const u8* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}

NAUTILE_INLINE float half_at(const u8* p) {
  return _cvtsh_ss(value_at<std::uint16_t>(p));
}

NAUTILE_INLINE Codes load_codes(const u8* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
NAUTILE_INLINE void store_codes(i8* p, Codes x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x);
}

NAUTILE_INLINE Codes split_nibbles(const u8* p) {
  const __m256i twice = _mm256_broadcastsi128_si256(load16(p));
  const __m256i shifted = _mm256_srlv_epi64(twice, _mm256_setr_epi64x(0, 0, 4, 4));
  return _mm256_and_si256(shifted, _mm256_set1_epi8(15));
}

// There are no shifts of bytes; those of words do, as the mask drops what crosses over.
template <int kFrom, int kBits, int kTo = 0>
NAUTILE_INLINE Codes field(Codes x) {
  if constexpr (kFrom > kTo) x = _mm256_srli_epi16(x, kFrom - kTo);
  if constexpr (kFrom < kTo) x = _mm256_slli_epi16(x, kTo - kFrom);
  return _mm256_and_si256(x, _mm256_set1_epi8(static_cast<char>(((1 << kBits) - 1) << kTo)));
}

NAUTILE_INLINE Codes either(Codes a, Codes b) {
  return _mm256_or_si256(a, b);
}

template <int kBias>
NAUTILE_INLINE Codes less(Codes x) {
  return _mm256_sub_epi8(x, _mm256_set1_epi8(kBias));
}

NAUTILE_INLINE Codes fifth_bits(const u8* p) {
  const __m256i word = _mm256_set1_epi32(value_at<std::int32_t>(p));
  const __m256i byte_of_lane =
      _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
  const __m256i bit_of_lane = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201u));
  const __m256i bits = _mm256_and_si256(_mm256_shuffle_epi8(word, byte_of_lane), bit_of_lane);
  return _mm256_and_si256(_mm256_cmpeq_epi8(bits, bit_of_lane), _mm256_set1_epi8(16));
}

NAUTILE_INLINE Codes iq4_values(Codes places) {
  const __m128i values = _mm_load_si128(reinterpret_cast<const __m128i*>(kIq4Values));
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(values), places);
}

template <int kBias = 0>
NAUTILE_INLINE void scale8(std::uint64_t codes, float d, float* out) {
  __m256i x = _mm256_cvtepi8_epi32(_mm_cvtsi64_si128(static_cast<long long>(codes)));
  if constexpr (kBias != 0) x = _mm256_sub_epi32(x, _mm256_set1_epi32(kBias));
  _mm256_storeu_ps(out, _mm256_mul_ps(_mm256_set1_ps(d), _mm256_cvtepi32_ps(x)));
}
