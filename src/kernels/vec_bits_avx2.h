// vec_bits_avx2.h — what gradients and E4M3 ask of Vec besides: roots, signs, doubles, turning.
// Included inside an anonymous namespace, after vec_avx2.h and tile_avx2.h.

static inline Vec sqrt(Vec x) {
  return {_mm256_sqrt_ps(x.v)};
}
// 2^e of x = 1.f·2^e; 0 of subnormals.
static inline Vec power_of_two_below(Vec x) {
  return {_mm256_and_ps(x.v, _mm256_castsi256_ps(_mm256_set1_epi32(0x7f800000)))};
}
// |magnitude| with the sign of `sign`.
static inline Vec with_sign(Vec magnitude, Vec sign) {
  return {_mm256_or_ps(magnitude.v, _mm256_and_ps(sign.v, _mm256_set1_ps(-0.0f)))};
}

// Sums in double of what were lanes of Vec.
struct DoubleSums {
  __m256d low = _mm256_setzero_pd(), high = _mm256_setzero_pd();
};
static inline void add_squares(DoubleSums& sums, Vec x) {
  const __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(x.v)),
                high = _mm256_cvtps_pd(_mm256_extractf128_ps(x.v, 1));
  sums.low = _mm256_fmadd_pd(low, low, sums.low);
  sums.high = _mm256_fmadd_pd(high, high, sums.high);
}
static inline double reduce_add(const DoubleSums& sums) {
  const __m256d all = _mm256_add_pd(sums.low, sums.high);
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(all), _mm256_extractf128_pd(all, 1));
  return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}

// y[c][r] = x[r][c] of one tile, rows and columns up to Vec::kWidth.
static inline void transpose_tile(const float* x, std::size_t stride, int rows, int columns,
                                  float* y, std::size_t y_stride) {
  __m256i r[8];
  for (int i = 0; i < 8; ++i) {
    const float* row = x + static_cast<std::size_t>(i) * stride;
    const Vec lanes = i >= rows ? splat(0) : (columns == 8 ? load(row) : load_n(row, columns));
    r[i] = _mm256_castps_si256(lanes.v);
  }
  transpose(r);
  for (int i = 0; i < columns; ++i) {
    float* row = y + static_cast<std::size_t>(i) * y_stride;
    const Vec lanes{_mm256_castsi256_ps(r[i])};
    if (rows == 8) {
      store(row, lanes);
    } else {
      store_n(row, lanes, rows);
    }
  }
}
