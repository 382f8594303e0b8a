// vec_avx512.h — Vec: sixteen floats, and the operations the row loops are written in.
// Included inside an anonymous namespace of an ISA object.

struct Vec {
  static constexpr int kWidth = 16;
  __m512 v;
};

static inline __mmask16 first_lanes(int n) {
  return static_cast<__mmask16>((1u << n) - 1u);
}

static inline Vec splat(float x) {
  return {_mm512_set1_ps(x)};
}
static inline Vec load(const float* p) {
  return {_mm512_loadu_ps(p)};
}
static inline Vec load_n(const float* p, int n) {
  return {_mm512_maskz_loadu_ps(first_lanes(n), p)};
}
static inline void store(float* p, Vec x) {
  _mm512_storeu_ps(p, x.v);
}
static inline void store_n(float* p, Vec x, int n) {
  _mm512_mask_storeu_ps(p, first_lanes(n), x.v);
}
static inline Vec operator+(Vec a, Vec b) {
  return {_mm512_add_ps(a.v, b.v)};
}
static inline Vec operator-(Vec a, Vec b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
static inline Vec operator*(Vec a, Vec b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
static inline Vec operator/(Vec a, Vec b) {
  return {_mm512_div_ps(a.v, b.v)};
}
static inline Vec fma(Vec a, Vec b, Vec c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
static inline Vec max(Vec a, Vec b) {
  return {_mm512_max_ps(a.v, b.v)};
}
static inline Vec min(Vec a, Vec b) {
  return {_mm512_min_ps(a.v, b.v)};
}
static inline Vec abs(Vec a) {
  return {_mm512_abs_ps(a.v)};
}
static inline Vec round(Vec a) {
  return {_mm512_roundscale_ps(a.v, 8)};
}  // to nearest even
// Lanes n and above become `other`.
static inline Vec keep_n(Vec a, int n, Vec other) {
  return {_mm512_mask_blend_ps(first_lanes(n), other.v, a.v)};
}
static inline float reduce_add(Vec a) {
  return _mm512_reduce_add_ps(a.v);
}
static inline float reduce_max(Vec a) {
  return _mm512_reduce_max_ps(a.v);
}

// a·2^n for whole n in the range of normal exponents.
static inline Vec scale_by_power(Vec a, Vec n) {
  const __m512i e =
      _mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n.v), _mm512_set1_epi32(127)), 23);
  return {_mm512_mul_ps(a.v, _mm512_castsi512_ps(e))};
}

static inline Vec load_bf16(const bf16* p) {
  const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16))};
}
static inline Vec load_bf16_n(const bf16* p, int n) {
  const __m256i half = _mm256_maskz_loadu_epi16(first_lanes(n), p);
  return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16))};
}
// Rounds to nearest even by integer arithmetic: VCVTNEPS2BF16 flushes subnormals, this does not.
// The result is the high half of each lane.
static inline __m512i round_high(Vec x) {
  const __m512i bits = _mm512_castps_si512(x.v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  const __mmask16 nan = _mm512_cmp_ps_mask(x.v, x.v, _CMP_UNORD_Q);
  return _mm512_mask_or_epi32(rounded, nan, bits, _mm512_set1_epi32(0x400000));
}
static inline __m256i round_to_bf16(Vec x) {
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(round_high(x), 16));
}
static inline void store_bf16(bf16* p, Vec x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), round_to_bf16(x));
}
static inline void store_bf16_n(bf16* p, Vec x, int n) {
  _mm256_mask_storeu_epi16(p, first_lanes(n), round_to_bf16(x));
}

// Sixteen inputs of class i8 from column c of a group: high digits in the group's first 32 bytes,
// low digits in the other 32; x = 256·high + low.
static inline void store_input(std::byte* group, int c, Vec x) {
  const __m512i whole = _mm512_cvtps_epi32(x.v);
  const __m512i high = _mm512_srai_epi32(_mm512_add_epi32(whole, _mm512_set1_epi32(128)), 8);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(group + c), _mm512_cvtepi32_epi8(high));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(group + 32 + c),
                   _mm512_cvtepi32_epi8(whole));  // low byte
}
static inline std::int32_t reduce_add_whole(Vec x) {
  return _mm512_reduce_add_epi32(_mm512_cvtps_epi32(x.v));
}

// Splits pairs: even = x[0], x[2], …; odd = x[1], x[3], … of two registers; and back.
static inline void load_pairs(const float* p, Vec& even, Vec& odd) {
  const __m512 a = _mm512_loadu_ps(p), b = _mm512_loadu_ps(p + 16);
  const __m512i evens = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
  even.v = _mm512_permutex2var_ps(a, evens, b);
  odd.v = _mm512_permutex2var_ps(a, _mm512_add_epi32(evens, _mm512_set1_epi32(1)), b);
}
static inline void store_pairs(float* p, Vec even, Vec odd) {
  const __m512i low = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  _mm512_storeu_ps(p, _mm512_permutex2var_ps(even.v, low, odd.v));
  _mm512_storeu_ps(
      p + 16, _mm512_permutex2var_ps(even.v, _mm512_add_epi32(low, _mm512_set1_epi32(8)), odd.v));
}
