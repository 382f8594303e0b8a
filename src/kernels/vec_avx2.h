// vec_avx2.h — Vec: eight floats, and the operations the row loops are written in.
// Included inside an anonymous namespace of an ISA object.

struct Vec {
  static constexpr int kWidth = 8;
  __m256 v;
};

static inline __m256i first_lanes(int n) {
  const __m256i lane = _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), lane);
}

static inline Vec splat(float x) {
  return {_mm256_set1_ps(x)};
}
static inline Vec load(const float* p) {
  return {_mm256_loadu_ps(p)};
}
static inline Vec load_n(const float* p, int n) {
  return {_mm256_maskload_ps(p, first_lanes(n))};
}
static inline void store(float* p, Vec x) {
  _mm256_storeu_ps(p, x.v);
}
static inline void store_n(float* p, Vec x, int n) {
  _mm256_maskstore_ps(p, first_lanes(n), x.v);
}
static inline Vec operator+(Vec a, Vec b) {
  return {_mm256_add_ps(a.v, b.v)};
}
static inline Vec operator-(Vec a, Vec b) {
  return {_mm256_sub_ps(a.v, b.v)};
}
static inline Vec operator*(Vec a, Vec b) {
  return {_mm256_mul_ps(a.v, b.v)};
}
static inline Vec operator/(Vec a, Vec b) {
  return {_mm256_div_ps(a.v, b.v)};
}
static inline Vec fma(Vec a, Vec b, Vec c) {
  return {_mm256_fmadd_ps(a.v, b.v, c.v)};
}
static inline Vec max(Vec a, Vec b) {
  return {_mm256_max_ps(a.v, b.v)};
}
static inline Vec min(Vec a, Vec b) {
  return {_mm256_min_ps(a.v, b.v)};
}
static inline Vec abs(Vec a) {
  return {_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v)};
}
static inline Vec round(Vec a) {
  return {_mm256_round_ps(a.v, 8)};
}  // to nearest even
// Lanes n and above become `other`.
static inline Vec keep_n(Vec a, int n, Vec other) {
  return {_mm256_blendv_ps(other.v, a.v, _mm256_castsi256_ps(first_lanes(n)))};
}
static inline float reduce_add(Vec a) {
  __m128 x = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  x = _mm_add_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}
static inline float reduce_max(Vec a) {
  __m128 x = _mm_max_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  x = _mm_max_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}

// a·2^n for whole n in the range of normal exponents.
static inline Vec scale_by_power(Vec a, Vec n) {
  const __m256i e =
      _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n.v), _mm256_set1_epi32(127)), 23);
  return {_mm256_mul_ps(a.v, _mm256_castsi256_ps(e))};
}

static inline Vec widen_bf16(__m128i half) {
  return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16))};
}
static inline Vec load_bf16(const bf16* p) {
  return widen_bf16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
static inline Vec load_bf16_n(const bf16* p, int n) {
  alignas(16) bf16 lanes[8] = {};
  for (int i = 0; i < n; ++i) lanes[i] = p[i];
  return widen_bf16(_mm_load_si128(reinterpret_cast<const __m128i*>(lanes)));
}
// Rounds to nearest even; the result is the high half of each lane.
static inline __m256i round_high(Vec x) {
  const __m256i bits = _mm256_castps_si256(x.v);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i up = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x.v, x.v, _CMP_UNORD_Q));
  return _mm256_blendv_epi8(up, quiet, nan);
}
static inline __m128i round_to_bf16(Vec x) {
  const __m256i high = _mm256_srli_epi32(round_high(x), 16);
  return _mm_packus_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1));
}
static inline void store_bf16(bf16* p, Vec x) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), round_to_bf16(x));
}
static inline void store_bf16_n(bf16* p, Vec x, int n) {
  alignas(16) bf16 lanes[8];
  _mm_store_si128(reinterpret_cast<__m128i*>(lanes), round_to_bf16(x));
  for (int i = 0; i < n; ++i) p[i] = lanes[i];
}

// Eight inputs of class i8 from column c of a group, as 16-bit integers: even columns in the
// group's first 32 bytes, odd ones in the other 32.
static inline void store_input(std::byte* group, int c, Vec x) {
  const __m256i whole = _mm256_cvtps_epi32(x.v);
  const __m128i words =
      _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
  const __m128i apart =
      _mm_shuffle_epi8(words, _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(group + c), apart);
  _mm_storel_epi64(reinterpret_cast<__m128i*>(group + 32 + c), _mm_srli_si128(apart, 8));
}
static inline std::int32_t reduce_add_whole(Vec x) {
  return static_cast<std::int32_t>(reduce_add(x));  // exact: whole numbers far below 2^24
}

// Splits pairs: even = x[0], x[2], …; odd = x[1], x[3], … of two registers; and back.
static inline void load_pairs(const float* p, Vec& even, Vec& odd) {
  const __m256 a = _mm256_loadu_ps(p), b = _mm256_loadu_ps(p + 8);
  const __m256 low = _mm256_permute2f128_ps(a, b, 0x20), high = _mm256_permute2f128_ps(a, b, 0x31);
  even.v = _mm256_shuffle_ps(low, high, 0x88);
  odd.v = _mm256_shuffle_ps(low, high, 0xdd);
}
static inline void store_pairs(float* p, Vec even, Vec odd) {
  const __m256 low = _mm256_unpacklo_ps(even.v, odd.v), high = _mm256_unpackhi_ps(even.v, odd.v);
  _mm256_storeu_ps(p, _mm256_permute2f128_ps(low, high, 0x20));
  _mm256_storeu_ps(p + 8, _mm256_permute2f128_ps(low, high, 0x31));
}
