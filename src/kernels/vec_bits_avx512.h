// vec_bits_avx512.h — what gradients and E4M3 ask of Vec besides: roots, signs, doubles, turning.
// Included inside an anonymous namespace, after vec_avx512.h and tile_avx512.h.

static inline Vec sqrt(Vec x) {
  return {_mm512_sqrt_ps(x.v)};
}
// 2^e of x = 1.f·2^e; 0 of subnormals.
static inline Vec power_of_two_below(Vec x) {
  return {_mm512_and_ps(x.v, _mm512_castsi512_ps(_mm512_set1_epi32(0x7f800000)))};
}
// |magnitude| with the sign of `sign`.
static inline Vec with_sign(Vec magnitude, Vec sign) {
  return {_mm512_or_ps(magnitude.v, _mm512_and_ps(sign.v, _mm512_set1_ps(-0.0f)))};
}

// Sums in double of what were lanes of Vec.
struct DoubleSums {
  __m512d low = _mm512_setzero_pd(), high = _mm512_setzero_pd();
};
static inline void add_squares(DoubleSums& sums, Vec x) {
  const __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(x.v)),
                high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(x.v, 1));
  sums.low = _mm512_fmadd_pd(low, low, sums.low);
  sums.high = _mm512_fmadd_pd(high, high, sums.high);
}
static inline double reduce_add(const DoubleSums& sums) {
  return _mm512_reduce_add_pd(_mm512_add_pd(sums.low, sums.high));
}

// y[c][r] = x[r][c] of one tile, rows and columns up to Vec::kWidth.
static inline void transpose_tile(const float* x, std::size_t stride, int rows, int columns,
                                  float* y, std::size_t y_stride) {
  __m512i r[16];
  if (rows == 16 && columns == 16) {
#pragma GCC unroll 16
    for (std::size_t i = 0; i < 16; ++i) r[i] = _mm512_loadu_si512(x + i * stride);
    transpose(r);
#pragma GCC unroll 16
    for (std::size_t i = 0; i < 16; ++i) _mm512_storeu_si512(y + i * y_stride, r[i]);
    return;
  }
  for (int i = 0; i < 16; ++i) {
    r[i] = i < rows
               ? _mm512_castps_si512(load_n(x + static_cast<std::size_t>(i) * stride, columns).v)
               : _mm512_setzero_si512();
  }
  transpose(r);
  for (int i = 0; i < columns; ++i)
    store_n(y + static_cast<std::size_t>(i) * y_stride, {_mm512_castsi512_ps(r[i])}, rows);
}
