// dot_avx512.inl — what dot.inl asks of AVX-512: 32 columns of sixteen rows in VPDPBUSD.

// More rows than these have not been timed on such a machine.
static constexpr int kDotRows = kFewRows;

// VPDPBUSD wants unsigned by signed: codes that can be negative come with this added.
static constexpr std::int32_t kCodeBias = 128;

static inline IntVec operator+(IntVec a, IntVec b) {
  return {_mm512_add_epi32(a.v, b.v)};
}
static inline IntVec operator-(IntVec a, IntVec b) {
  return {_mm512_sub_epi32(a.v, b.v)};
}
static inline IntVec either(IntVec a, IntVec b) {
  return {_mm512_or_si512(a.v, b.v)};
}
static inline IntVec splat_whole(std::int32_t x) {
  return {_mm512_set1_epi32(x)};
}
// Each lane's bits from `shift` on, masked.
static inline IntVec bits(IntVec x, int shift, std::int32_t mask) {
  return {_mm512_and_si512(_mm512_srli_epi32(x.v, static_cast<unsigned>(shift)),
                           _mm512_set1_epi32(mask))};
}
// The half floats in each lane's low or high 16 bits.
static inline Vec low_half(IntVec x) {
  return {_mm512_cvtph_ps(_mm512_cvtepi32_epi16(x.v))};
}
static inline Vec high_half(IntVec x) {
  return {_mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(x.v, 16)))};
}

// The four 32-bit words at byte `byte` of sixteen rows; lanes are rows.
static inline void load_words(const u8* const* row, std::size_t byte, IntVec words[4]) {
  alignas(64) std::uint32_t lanes[4][16];
#pragma GCC unroll 16
  for (int r = 0; r < 16; ++r) {
    for (int w = 0; w < 4; ++w) lanes[w][r] = value_at<std::uint32_t>(row[r] + byte + 4 * w);
  }
  for (int w = 0; w < 4; ++w) words[w] = load_lanes(lanes[w]);
}

static inline void transpose_floats(float tile[16][16]) {
  __m512i lanes[16];
  for (int r = 0; r < 16; ++r) lanes[r] = _mm512_castps_si512(_mm512_load_ps(tile[r]));
  transpose(lanes);
  for (int g = 0; g < 16; ++g) _mm512_store_ps(tile[g], _mm512_castsi512_ps(lanes[g]));
}

// Registers of two rows' eight partial sums each -> per 128-bit quarter, four rows' sums.
static inline __m512i add_four(__m512i a, __m512i b, __m512i c, __m512i d) {
  const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
  const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
  return _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
}

// 32 columns of one input row, each digit twice.
struct DotInput {
  __m512i high, low;
};
static inline DotInput dot_input(const std::byte* q) {
  const u8* digits = reinterpret_cast<const u8*>(q);
  return {_mm512_broadcast_i64x4(load_codes(digits)),
          _mm512_broadcast_i64x4(load_codes(digits + 32))};
}

// Sums of part P of sixteen rows' blocks with the inputs: over its first and its last 16 columns.
template <class F, int P, bool kBiased, int M>
NAUTILE_INLINE void dot_lanes(const u8* const* row, std::size_t byte, const DotInput (&x)[M],
                              IntVec (&half)[M][2]) {
  // Eight rows are two results of add_four: rows j and j + 4 share a register.
  __m512i eight[M][2];
#pragma GCC unroll 2
  for (int e = 0; e < 2; ++e) {
    __m512i dots[M][4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; ++j) {
      const __m256i a = F::template codes<P>(row[8 * e + j] + byte),
                    b = F::template codes<P>(row[8 * e + 4 + j] + byte);
      __m512i codes = _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1);
      if constexpr (kBiased) codes = _mm512_xor_si512(codes, _mm512_set1_epi8(-128));
#pragma GCC unroll 2
      for (int i = 0; i < M; ++i) {
        const __m512i first = _mm512_dpbusd_epi32(_mm512_setzero_si512(), codes, x[i].high);
        dots[i][j] = _mm512_dpbusd_epi32(_mm512_slli_epi32(first, 8), codes, x[i].low);
      }
    }
#pragma GCC unroll 2
    for (int i = 0; i < M; ++i)
      eight[i][e] = add_four(dots[i][0], dots[i][1], dots[i][2], dots[i][3]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < M; ++i) {
    half[i][0] = {_mm512_shuffle_i32x4(eight[i][0], eight[i][1], 0x88)};
    half[i][1] = {_mm512_shuffle_i32x4(eight[i][0], eight[i][1], 0xdd)};
  }
}
