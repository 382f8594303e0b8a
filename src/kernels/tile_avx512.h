// tile_avx512.h — the innermost products of the avx512 table, and the order of its panels.
// Included inside an anonymous namespace, after vec_avx512.h.

// A 32-bit lane carries two BF16 or four 8-bit integers of consecutive columns.
struct IntVec {
  __m512i v;
};
static constexpr int kI8PerLane = 4;
// Accumulators: kRowsF·4 panels for sums, kRowsI·4 for integer sums beside float sums (32
// registers).
static constexpr int kTilePanels = 4, kRowsF = 6, kRowsI = 3;

static inline IntVec load_lanes(const void* p) {
  return {_mm512_loadu_si512(p)};
}
static inline IntVec splat_lane(const void* p) {
  std::int32_t lane;
  __builtin_memcpy(&lane, p, 4);
  return {_mm512_set1_epi32(lane)};
}
static inline void store_lanes_n(void* p, IntVec x, int n) {
  _mm512_mask_storeu_epi32(p, first_lanes(n), x.v);
}
static inline Vec low_bf16(IntVec x) {
  return {_mm512_castsi512_ps(_mm512_slli_epi32(x.v, 16))};
}
static inline Vec high_bf16(IntVec x) {
  return {_mm512_castsi512_ps(_mm512_and_si512(x.v, _mm512_set1_epi32(-65536)))};
}
// Lanes of BF16 pairs, `even` in the low half: of numbers that are BF16, and of any.
static inline IntVec join_pairs(Vec even, Vec odd) {
  return {_mm512_or_si512(_mm512_srli_epi32(_mm512_castps_si512(even.v), 16),
                          _mm512_castps_si512(odd.v))};
}
static inline IntVec round_to_pairs(Vec even, Vec odd) {
  return {_mm512_mask_blend_epi16(0xaaaaaaaa, _mm512_srli_epi32(round_high(even), 16),
                                  round_high(odd))};
}
// VPDPBUSD wants unsigned by signed: panels hold q + 128, and 128·Σx is taken away at the end.
// Inputs are two digits: the products with the high ones, times 256, then those with the low ones.
static constexpr int kDigits = 2;
static inline IntVec start_i8() {
  return {_mm512_setzero_si512()};
}
static inline IntVec next_digit(IntVec dot) {
  return {_mm512_slli_epi32(dot.v, 8)};
}
static inline IntVec finish_i8(IntVec dot, std::int32_t input_sum) {
  return {_mm512_sub_epi32(dot.v, _mm512_set1_epi32(128 * input_sum))};
}
// Bytes from a row's inputs to lane k of group g (G columns) in a digit.
template <int G>
static inline int input_at(int g, int digit, int k) {
  return g * G / 32 * 64 + g * G % 32 + 32 * digit + 4 * k;
}
static inline IntVec dot_i8(IntVec acc, IntVec w, IntVec x) {
  return {_mm512_dpbusd_epi32(acc.v, w.v, x.v)};
}
static inline Vec to_float(IntVec x) {
  return {_mm512_cvtepi32_ps(x.v)};
}

// In place: sixteen rows of sixteen 32-bit lanes become sixteen columns.
static inline void transpose(__m512i r[16]) {
  __m512i t[16];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
    t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
    r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
    r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0x88);
    t[4 + i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0xdd);
    t[8 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0x88);
    t[12 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0xdd);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    r[i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0x88);
    r[8 + i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0xdd);
    r[4 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0x88);
    r[12 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0xdd);
  }
}

// Source makes the sixteen lanes of one row that start at lane `first`, of which n exist.
template <class Source>
static inline void interleave_lanes(const Source& source, int rows, int lanes, std::byte* panel) {
  for (int first = 0; first < lanes; first += 16) {
    const int n = lanes - first < 16 ? lanes - first : 16;
    __m512i r[16];
    if (rows == kPanelRows && n == 16) {
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) r[i] = source.lanes(i, first);
    } else {
      for (int i = 0; i < 16; ++i) r[i] = i < rows ? source.lanes_n(i, first, n) : source.nothing();
    }
    transpose(r);
    for (int i = 0; i < n; ++i) _mm512_storeu_si512(panel + (first + i) * 64, r[i]);
  }
}

struct RowsOfFloats {
  const float* x;
  std::size_t stride;
  __m512i lanes(int row, int first) const {
    return _mm512_castps_si512(_mm512_loadu_ps(x + static_cast<std::size_t>(row) * stride + first));
  }
  __m512i lanes_n(int row, int first, int n) const {
    return _mm512_castps_si512(load_n(x + static_cast<std::size_t>(row) * stride + first, n).v);
  }
  static __m512i nothing() { return _mm512_setzero_si512(); }
};

// Lanes are pairs; `count` floats exist in a row.
struct PairsOfFloats {
  const float* x;
  std::size_t stride;
  int count;
  __m512i lanes(int row, int first) const { return lanes_n(row, first, 16); }
  __m512i lanes_n(int row, int first, int n) const {
    const float* p = x + static_cast<std::size_t>(row) * stride + 2 * first;
    const int left = count - 2 * first < 2 * n ? count - 2 * first : 2 * n;
    const Vec low = load_n(p, left < 16 ? left : 16);
    const Vec high = left > 16 ? load_n(p + 16, left - 16) : splat(0);
    return _mm512_inserti64x4(_mm512_castsi256_si512(round_to_bf16(low)), round_to_bf16(high), 1);
  }
  static __m512i nothing() { return _mm512_setzero_si512(); }
};

struct PairsOfBf16 {
  const bf16* x;
  std::size_t stride;
  int count;
  __m512i lanes(int row, int first) const { return lanes_n(row, first, 16); }
  __m512i lanes_n(int row, int first, int n) const {
    const bf16* p = x + static_cast<std::size_t>(row) * stride + 2 * first;
    const int left = count - 2 * first < 2 * n ? count - 2 * first : 2 * n;
    const __mmask32 mask = left >= 32 ? ~0u : (1u << left) - 1u;
    return _mm512_maskz_loadu_epi16(mask, p);
  }
  static __m512i nothing() { return _mm512_setzero_si512(); }
};

struct QuadsOfI8 {
  const std::int8_t* q;
  std::size_t stride;
  __m512i lanes(int row, int first) const {
    const std::int8_t* p = q + static_cast<std::size_t>(row) * stride + 4 * first;
    return _mm512_xor_si512(_mm512_loadu_si512(p), _mm512_set1_epi8(-128));
  }
  __m512i lanes_n(int row, int first, int n) const {
    const std::int8_t* p = q + static_cast<std::size_t>(row) * stride + 4 * first;
    return _mm512_xor_si512(_mm512_maskz_loadu_epi32(first_lanes(n), p), _mm512_set1_epi8(-128));
  }
  static __m512i nothing() { return _mm512_set1_epi8(-128); }
};
