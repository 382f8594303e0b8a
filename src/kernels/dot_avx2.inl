// dot_avx2.inl — what dot.inl asks of AVX2: 32 columns of eight rows in VPMADDWD.
//
// Codes are bytes and inputs 16-bit integers. A mask makes words of a register's even codes and a
// shift makes words of its odd ones, which is why store_input keeps even and odd columns apart:
// neither a shuffle nor a product that saturates (VPMADDUBSW) is needed. Two products of a code
// below 2^8 and an input below 2^15 fit into 32 bits.

// From here on panels are faster (Zen 3, `nautile bench --prompt` at these lengths).
static constexpr int kDotRows = 24;

// Codes that can be negative come with this added, so that mask and shift need no sign.
static constexpr std::int32_t kCodeBias = 128;

static inline IntVec operator+(IntVec a, IntVec b) {
  return {_mm256_add_epi32(a.v, b.v)};
}
static inline IntVec operator-(IntVec a, IntVec b) {
  return {_mm256_sub_epi32(a.v, b.v)};
}
static inline IntVec either(IntVec a, IntVec b) {
  return {_mm256_or_si256(a.v, b.v)};
}
static inline IntVec splat_whole(std::int32_t x) {
  return {_mm256_set1_epi32(x)};
}
// Each lane's bits from `shift` on, masked.
static inline IntVec bits(IntVec x, int shift, std::int32_t mask) {
  return {_mm256_and_si256(_mm256_srli_epi32(x.v, shift), _mm256_set1_epi32(mask))};
}
// The half floats in each lane's low or high 16 bits.
static inline Vec low_half(IntVec x) {
  const __m256i low = _mm256_and_si256(x.v, _mm256_set1_epi32(0xffff));
  return {_mm256_cvtph_ps(
      _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1)))};
}
static inline Vec high_half(IntVec x) {
  return low_half({_mm256_srli_epi32(x.v, 16)});
}

// The four 32-bit words at byte `byte` of eight rows; lanes are rows.
static inline void load_words(const u8* const* row, std::size_t byte, IntVec words[4]) {
  __m256i r[4];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    r[i] = _mm256_inserti128_si256(_mm256_castsi128_si256(load16(row[i] + byte)),
                                   load16(row[4 + i] + byte), 1);
  }
  const __m256i a = _mm256_unpacklo_epi32(r[0], r[1]), b = _mm256_unpackhi_epi32(r[0], r[1]);
  const __m256i c = _mm256_unpacklo_epi32(r[2], r[3]), d = _mm256_unpackhi_epi32(r[2], r[3]);
  words[0] = {_mm256_unpacklo_epi64(a, c)};
  words[1] = {_mm256_unpackhi_epi64(a, c)};
  words[2] = {_mm256_unpacklo_epi64(b, d)};
  words[3] = {_mm256_unpackhi_epi64(b, d)};
}

// Eight rows and columns of `from`, columns as rows.
static inline void transpose_square(const float* from, __m256i r[8]) {
  for (int i = 0; i < 8; ++i) r[i] = _mm256_castps_si256(_mm256_load_ps(from + 16 * i));
  transpose(r);
}
static inline void store_square(float* to, const __m256i r[8]) {
  for (int i = 0; i < 8; ++i) _mm256_store_ps(to + 16 * i, _mm256_castsi256_ps(r[i]));
}
static inline void transpose_floats(float tile[16][16]) {
  __m256i a[8], b[8];
  transpose_square(tile[0], a);
  store_square(tile[0], a);
  transpose_square(tile[8] + 8, a);
  store_square(tile[8] + 8, a);
  transpose_square(tile[0] + 8, a);
  transpose_square(tile[8], b);
  store_square(tile[8], a);
  store_square(tile[0] + 8, b);
}

// Four rows' eight partial sums each -> per 128-bit half, four rows' sums.
static inline __m256i add_four(__m256i a, __m256i b, __m256i c, __m256i d) {
  const __m256i ab = _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
  const __m256i cd = _mm256_add_epi32(_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
  return _mm256_add_epi32(_mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd));
}

// 32 columns of one input row.
struct DotInput {
  __m256i even, odd;
};
static inline DotInput dot_input(const std::byte* q) {
  const u8* words = reinterpret_cast<const u8*>(q);
  return {load_codes(words), load_codes(words + 32)};
}

// Sums of part P of eight rows' blocks with the inputs: over its first and its last 16 columns.
template <class F, int P, bool kBiased, int M>
NAUTILE_INLINE void dot_lanes(const u8* const* row, std::size_t byte, const DotInput (&x)[M],
                              IntVec (&half)[M][2]) {
  __m256i four[M][2];
#pragma GCC unroll 2
  for (int e = 0; e < 2; ++e) {
    __m256i dots[M][4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      __m256i codes = F::template codes<P>(row[4 * e + j] + byte);
      if constexpr (kBiased) codes = _mm256_add_epi8(codes, _mm256_set1_epi8(-128));
      const __m256i even = _mm256_and_si256(codes, _mm256_set1_epi16(255));
      const __m256i odd = _mm256_srli_epi16(codes, 8);
#pragma GCC unroll 2
      for (int i = 0; i < M; ++i) {
        dots[i][j] =
            _mm256_add_epi32(_mm256_madd_epi16(even, x[i].even), _mm256_madd_epi16(odd, x[i].odd));
      }
    }
#pragma GCC unroll 2
    for (int i = 0; i < M; ++i)
      four[i][e] = add_four(dots[i][0], dots[i][1], dots[i][2], dots[i][3]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < M; ++i) {
    half[i][0] = {_mm256_permute2x128_si256(four[i][0], four[i][1], 0x20)};
    half[i][1] = {_mm256_permute2x128_si256(four[i][0], four[i][1], 0x31)};
  }
}
