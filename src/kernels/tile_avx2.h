// tile_avx2.h — the innermost products of the avx2 table, and the order of its panels.
// Included inside an anonymous namespace, after vec_avx2.h.

// A 32-bit lane carries two BF16 or two 16-bit integers of consecutive columns: VPMADDWD is exact
// where VPMADDUBSW would saturate.
struct IntVec {
  __m256i v;
};
static constexpr int kI8PerLane = 2;
static constexpr int kTilePanels = 1, kRowsF = 5, kRowsI = 2;  // sixteen registers

static inline IntVec load_lanes(const void* p) {
  return {_mm256_loadu_si256(static_cast<const __m256i*>(p))};
}
static inline IntVec splat_lane(const void* p) {
  std::int32_t lane;
  __builtin_memcpy(&lane, p, 4);
  return {_mm256_set1_epi32(lane)};
}
static inline void store_lanes_n(void* p, IntVec x, int n) {
  _mm256_maskstore_epi32(static_cast<int*>(p), first_lanes(n), x.v);
}
static inline Vec low_bf16(IntVec x) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(x.v, 16))};
}
static inline Vec high_bf16(IntVec x) {
  return {_mm256_castsi256_ps(_mm256_and_si256(x.v, _mm256_set1_epi32(-65536)))};
}
// Lanes of BF16 pairs, `even` in the low half: of numbers that are BF16, and of any.
static inline IntVec join_pairs(Vec even, Vec odd) {
  return {_mm256_or_si256(_mm256_srli_epi32(_mm256_castps_si256(even.v), 16),
                          _mm256_castps_si256(odd.v))};
}
static inline IntVec round_to_pairs(Vec even, Vec odd) {
  return {_mm256_blend_epi16(_mm256_srli_epi32(round_high(even), 16), round_high(odd), 0xaa)};
}
static constexpr int kDigits = 1;
static inline IntVec start_i8() {
  return {_mm256_setzero_si256()};
}
static inline IntVec next_digit(IntVec dot) {
  return dot;
}
static inline IntVec finish_i8(IntVec dot, std::int32_t) {
  return dot;
}
// Bytes from a row's inputs to lane k of group g (G columns): of sixteen columns, panels have four
// lanes of even ones, then four of odd ones; inputs have those of 32 columns together (vec_avx2.h).
template <int G>
static inline int input_at(int g, int, int k) {
  const int sixteen = g * (G / 16) + k / 8;
  return sixteen / 2 * 64 + sixteen % 2 * 16 + k % 8 / 4 * 32 + 4 * (k % 4);
}
static inline IntVec dot_i8(IntVec acc, IntVec w, IntVec x) {
  return {_mm256_add_epi32(acc.v, _mm256_madd_epi16(w.v, x.v))};
}
static inline Vec to_float(IntVec x) {
  return {_mm256_cvtepi32_ps(x.v)};
}

// In place: eight rows of eight 32-bit lanes become eight columns.
static inline void transpose(__m256i r[8]) {
  __m256i t[8];
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    t[2 * i] = _mm256_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm256_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    r[4 * i] = _mm256_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 1] = _mm256_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 2] = _mm256_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    r[4 * i + 3] = _mm256_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm256_permute2x128_si256(r[i], r[4 + i], 0x20);
    t[4 + i] = _mm256_permute2x128_si256(r[i], r[4 + i], 0x31);
  }
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) r[i] = t[i];
}

// Source makes the eight lanes of one row that start at lane `first`, of which n exist.
template <class Source>
static inline void interleave_lanes(const Source& source, int rows, int lanes, std::byte* panel) {
  for (int first = 0; first < lanes; first += 8) {
    const int n = lanes - first < 8 ? lanes - first : 8;
    for (int half = 0; half < kPanelRows; half += 8) {
      __m256i r[8];
      for (int i = 0; i < 8; ++i) {
        r[i] = half + i < rows ? source.lanes_n(half + i, first, n) : _mm256_setzero_si256();
      }
      transpose(r);
      for (int i = 0; i < n; ++i) {
        std::byte* to = panel + (first + i) * 64 + half * 4;
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), r[i]);
      }
    }
  }
}

struct RowsOfFloats {
  const float* x;
  std::size_t stride;
  __m256i lanes_n(int row, int first, int n) const {
    const float* p = x + static_cast<std::size_t>(row) * stride + first;
    return _mm256_castps_si256(n == 8 ? load(p).v : load_n(p, n).v);
  }
};

// Lanes are pairs; `count` floats exist in a row.
struct PairsOfFloats {
  const float* x;
  std::size_t stride;
  int count;
  __m256i lanes_n(int row, int first, int n) const {
    const float* p = x + static_cast<std::size_t>(row) * stride + 2 * first;
    const int left = count - 2 * first < 2 * n ? count - 2 * first : 2 * n;
    const Vec low = left >= 8 ? load(p) : load_n(p, left);
    const Vec high = left >= 16 ? load(p + 8) : (left > 8 ? load_n(p + 8, left - 8) : splat(0));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(round_to_bf16(low)), round_to_bf16(high),
                                   1);
  }
};

struct PairsOfBf16 {
  const bf16* x;
  std::size_t stride;
  int count;
  __m256i lanes_n(int row, int first, int n) const {
    const bf16* p = x + static_cast<std::size_t>(row) * stride + 2 * first;
    const int left = count - 2 * first < 2 * n ? count - 2 * first : 2 * n;
    if (left >= 16) return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    alignas(32) bf16 lanes[16] = {};
    for (int i = 0; i < left; ++i) lanes[i] = p[i];
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(lanes));
  }
};

struct QuadsOfI8 {
  const std::int8_t* q;
  std::size_t stride;
  // Even columns, then odd ones; n is 8: counts are multiples of 32.
  __m256i lanes_n(int row, int first, int n) const {
    static_cast<void>(n);
    const std::int8_t* p = q + static_cast<std::size_t>(row) * stride + 2 * first;
    const __m256i twice =
        _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    const __m256i apart =
        _mm256_setr_epi8(-1, 0, -1, 2, -1, 4, -1, 6, -1, 8, -1, 10, -1, 12, -1, 14, -1, 1, -1, 3,
                         -1, 5, -1, 7, -1, 9, -1, 11, -1, 13, -1, 15);
    return _mm256_srai_epi16(_mm256_shuffle_epi8(twice, apart), 8);
  }
};
