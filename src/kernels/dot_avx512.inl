// dot_avx512.inl — products of very few input rows with 16 weight rows, straight from the file's
// bytes.
//
// A decode step has one input row: interleaving a panel to use it once costs more than the product.
// Here a weight row's 32 codes meet the input in one VPDPBUSD, and the sixteen rows' registers of
// eight partial sums are added across by a tree of shuffles to one register whose lanes are rows.
// The sums of a group are whole numbers, and the floating-point steps are those of TileI8, so the
// two paths agree to the bit. Scales are prepared sixteen rows at a time.

// Registers of two rows' eight partial sums each -> per 128-bit quarter, four rows' sums.
static inline __m512i add_four(__m512i a, __m512i b, __m512i c, __m512i d) {
  const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
  const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
  return _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
}

// Rows of one panel; rows that do not exist repeat the first, and nobody reads their sums.
struct PanelRows {
  const u8* row[16];
};

static inline PanelRows panel_rows(const std::byte* row0, std::size_t stride, int rows) {
  PanelRows p;
  for (int r = 0; r < 16; ++r) {
    p.row[r] =
        reinterpret_cast<const u8*>(row0) + (r < rows ? static_cast<std::size_t>(r) * stride : 0);
  }
  return p;
}

// Scales [group][16] and offsets of up to 256 columns of every row.
struct ScaleTile {
  alignas(64) float scale[16][16];
  alignas(64) float offset[16][16];
};

// `blocks` 32-weight blocks from `byte` on: all begin with the half float d, affine ones go on with
// m.
template <class F>
NAUTILE_INLINE void simple_scales(const PanelRows& p, std::size_t byte, int blocks,
                                  ScaleTile& tile) {
  alignas(64) std::uint32_t words[8][16];
  for (int b = 0; b < blocks; ++b) {
    const std::size_t at = byte + static_cast<std::size_t>(b * info(F::kFormat).block_bytes);
#pragma GCC unroll 16
    for (int r = 0; r < 16; ++r) words[b][r] = value_at<std::uint32_t>(p.row[r] + at);
  }
  for (int b = 0; b < blocks; ++b) {
    const __m512i pair = _mm512_load_si512(words[b]);
    _mm512_store_ps(tile.scale[b], _mm512_cvtph_ps(_mm512_cvtepi32_epi16(pair)));
    if constexpr (F::kOffsets == Offsets::per_group) {
      _mm512_store_ps(tile.offset[b],
                      _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(pair, 16))));
    }
  }
}

static inline void transpose_floats(float tile[16][16]) {
  __m512i lanes[16];
  for (int r = 0; r < 16; ++r) lanes[r] = _mm512_castps_si512(_mm512_load_ps(tile[r]));
  transpose(lanes);
  for (int g = 0; g < 16; ++g) _mm512_store_ps(tile[g], _mm512_castsi512_ps(lanes[g]));
}

// Byte `shift`/8 of every lane's word, `bits` wide, as F32 times d.
static inline __m512 times_field(__m512i words, int shift, int bits, __m512 d) {
  const __m512i field = _mm512_and_si512(_mm512_srli_epi32(words, static_cast<unsigned>(shift)),
                                         _mm512_set1_epi32((1 << bits) - 1));
  return _mm512_mul_ps(d, _mm512_cvtepi32_ps(field));
}

// Q4_K and Q5_K: d, dmin and twelve bytes of 6-bit scales and mins, handled with rows as lanes.
// Words a0 and a1 hold the first four of each in their low six bits; the other four have low
// nibbles in a2 and their upper two bits in a0 and a1 (layout: formats_k.inl).
static inline void six_bit_scales(const PanelRows& p, std::size_t byte, ScaleTile& tile) {
  alignas(64) std::uint32_t words[4][16];
#pragma GCC unroll 16
  for (int r = 0; r < 16; ++r) {
    for (int w = 0; w < 4; ++w) words[w][r] = value_at<std::uint32_t>(p.row[r] + byte + 4 * w);
  }
  const __m512i both = _mm512_load_si512(words[0]), a2 = _mm512_load_si512(words[3]);
  const __m512 d = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(both));
  const __m512 dmin = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(both, 16)));
  const __m512 minus = _mm512_sub_ps(_mm512_setzero_ps(), dmin);
  for (int mins = 0; mins < 2; ++mins) {
    const __m512i a = _mm512_load_si512(words[1 + mins]);
    const __m512i low = _mm512_and_si512(_mm512_srli_epi32(a2, static_cast<unsigned>(4 * mins)),
                                         _mm512_set1_epi32(0x0f0f0f0f));
    const __m512i high = _mm512_and_si512(_mm512_srli_epi32(a, 2), _mm512_set1_epi32(0x30303030));
    const __m512i upper = _mm512_or_si512(low, high);
    float(*out)[16] = mins ? tile.offset : tile.scale;
    for (int j = 0; j < 4; ++j) {
      _mm512_store_ps(out[j], times_field(a, 8 * j, 6, mins ? minus : d));
      _mm512_store_ps(out[4 + j], times_field(upper, 8 * j, 6, mins ? minus : d));
    }
  }
}

// One super-block of every row.
template <class F>
NAUTILE_INLINE void super_scales(const PanelRows& p, std::size_t byte, ScaleTile& tile) {
  for (int r = 0; r < 16; ++r) F::scales(p.row[r] + byte, tile.scale[r], tile.offset[r]);
  transpose_floats(tile.scale);
  if constexpr (F::kOffsets == Offsets::per_group) transpose_floats(tile.offset);
}

template <class F>
struct FewRows {
  static constexpr int kBlock = info(F::kFormat).block, kBytes = info(F::kFormat).block_bytes;
  static constexpr int kGroups = kBlock / F::kGroup;
  static constexpr bool kAffine = F::kOffsets == Offsets::per_group;

  // One group's whole-number sums into the chain.
  static inline __m512 chain(__m512 sum, __m512i dots, const ScaleTile& tile, int group, float sx,
                             std::int32_t input_sum) {
    dots = _mm512_sub_epi32(dots, _mm512_set1_epi32(128 * input_sum));
    const __m512 scale = _mm512_mul_ps(_mm512_load_ps(tile.scale[group]), _mm512_set1_ps(sx));
    sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots), scale, sum);
    if constexpr (kAffine) {
      sum = _mm512_fmadd_ps(_mm512_load_ps(tile.offset[group]),
                            _mm512_set1_ps(sx * static_cast<float>(input_sum)), sum);
    }
    return sum;
  }

  // Part P (32 columns) of the blocks at `byte` and the parts after it; `column` is the block's,
  // its scales begin at `group` of the tile.
  template <int P, int M>
  NAUTILE_INLINE void parts(const PanelRows& rows, std::size_t byte, const ScaleTile& tile,
                            int group, const I8Input& x, std::size_t column, __m512* sum) {
    if constexpr (P < kBlock / 32) {
      // Eight rows are two results of add_four: rows j and j + 4 share a register.
      __m512i high[M], low[M], eight[M][2];
#pragma GCC unroll 2
      for (int i = 0; i < M; ++i) {
        const u8* q = reinterpret_cast<const u8*>(x.q) + static_cast<std::size_t>(i) * x.q_stride +
                      2 * column + 64 * P;
        high[i] = _mm512_broadcast_i64x4(load_codes(q));
        low[i] = _mm512_broadcast_i64x4(load_codes(q + 32));
      }
#pragma GCC unroll 2
      for (int e = 0; e < 2; ++e) {
        __m512i dots[M][4];
#pragma GCC unroll 4
        for (int j = 0; j < 4; ++j) {
          const __m256i a = F::template codes<P>(rows.row[8 * e + j] + byte),
                        b = F::template codes<P>(rows.row[8 * e + 4 + j] + byte);
          const __m512i codes = _mm512_xor_si512(
              _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1), _mm512_set1_epi8(-128));
#pragma GCC unroll 2
          for (int i = 0; i < M; ++i) {
            const __m512i first = _mm512_dpbusd_epi32(_mm512_setzero_si512(), codes, high[i]);
            dots[i][j] = _mm512_dpbusd_epi32(_mm512_slli_epi32(first, 8), codes, low[i]);
          }
        }
#pragma GCC unroll 2
        for (int i = 0; i < M; ++i)
          eight[i][e] = add_four(dots[i][0], dots[i][1], dots[i][2], dots[i][3]);
      }
#pragma GCC unroll 2
      for (int i = 0; i < M; ++i) {
        const __m512i half[2] = {_mm512_shuffle_i32x4(eight[i][0], eight[i][1], 0x88),
                                 _mm512_shuffle_i32x4(eight[i][0], eight[i][1], 0xdd)};
        const std::int32_t* s =
            x.sums + static_cast<std::size_t>(i) * x.sums_stride + column / 16 + 2 * P;
        const float sx = x.scale[static_cast<std::size_t>(i) * x.scale_stride + column / 32 + P];
        if constexpr (F::kGroup == 32) {
          sum[i] =
              chain(sum[i], _mm512_add_epi32(half[0], half[1]), tile, group + P, sx, s[0] + s[1]);
        } else {
          sum[i] = chain(sum[i], half[0], tile, group + 2 * P, sx, s[0]);
          sum[i] = chain(sum[i], half[1], tile, group + 2 * P + 1, sx, s[1]);
        }
      }
      parts<P + 1, M>(rows, byte, tile, group, x, column, sum);
    }
  }

  // Asks for the panel behind this one while this one is computed: its rows follow in memory, and
  // sixteen short strided streams are more than the hardware prefetcher follows.
  static inline void prefetch(const u8* p, std::size_t bytes) {
    for (std::size_t at = 0; at < bytes; at += 64)
      _mm_prefetch(reinterpret_cast<const char*>(p + at), _MM_HINT_T0);
  }

  template <int M>
  static void run_rows(const I8Input& x, const PanelRows& rows, std::size_t stride, int count,
                       float* y, std::size_t y_stride) {
    constexpr int kSpan = kBlock == 32 ? 256 : kBlock;  // columns of one scale tile
    constexpr int kSpanBytes = kSpan / kBlock * kBytes;
    __m512 sum[M];
    for (int i = 0; i < M; ++i) sum[i] = _mm512_setzero_ps();
    const u8* next = rows.row[0] + 16 * stride;
    ScaleTile tile;
    std::size_t byte = 0;
    for (int c = 0; c < count; c += kSpan) {
      const int columns = count - c < kSpan ? count - c : kSpan;
      prefetch(next + 16 * byte, 16 * kSpanBytes);
      if constexpr (F::kFormat == Format::q4_k || F::kFormat == Format::q5_k) {
        six_bit_scales(rows, byte, tile);
      } else if constexpr (kGroups == 1) {
        simple_scales<F>(rows, byte, columns / 32, tile);
      } else {
        super_scales<F>(rows, byte, tile);
      }
      for (int b = 0; b < columns / kBlock; ++b, byte += kBytes) {
        parts<0, M>(rows, byte, tile, b * kGroups, x, static_cast<std::size_t>(c + b * kBlock),
                    sum);
      }
    }
    for (int i = 0; i < M; ++i)
      _mm512_storeu_ps(y + static_cast<std::size_t>(i) * y_stride, sum[i]);
  }

  static void run(const I8Input& x, int m, const std::byte* row0, std::size_t stride, int rows,
                  int count, float* y, std::size_t y_stride) noexcept {
    const PanelRows panel = panel_rows(row0, stride, rows);
    if (m == 1) {
      run_rows<1>(x, panel, stride, count, y, y_stride);
    } else {
      run_rows<2>(x, panel, stride, count, y, y_stride);
    }
  }
};

template <class F>
constexpr DotPanel dot_of() {
  return &FewRows<F>::run;
}
