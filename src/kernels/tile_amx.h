// tile_amx.h — the products of the amx table, and the order of its panels.
// Included inside an anonymous namespace after vec_avx512.h, tile_avx512.h and a header with Tiles.
//
// Weights are the A operand: sixteen rows as they lie, 64 bytes of each to a tile, so panels are
// copies and never transposed. Input rows, which are few, are interleaved as B inside the product.
// A sum tile is [weight row][input row], the transpose of y.
//
// Order of sums, per output. Class i8: whole numbers per group, then the chain of I8Panels. BF16:
// per 32 columns, from the start of the chunk, what TDPBF16PS adds; a last step is filled up with
// zeros.

static constexpr int kTileBytes = 1024;
static constexpr int kHalf = 16;       // input rows of a tile
static constexpr int kBlockRows = 32;  // input rows multiplied together

static inline int least(int a, int b) {
  return a < b ? a : b;
}
static inline std::size_t at_row(int row, std::size_t stride) {
  return static_cast<std::size_t>(row) * stride;
}

// Panels: tile t holds columns [t·C, t·C + C) of all rows, C = 32 (BF16) or 64 (I8), row after row;
// columns and rows that do not exist are zeros.
static void interleave_bf16(const float* x, std::size_t stride, int rows, int count,
                            bf16* panel) noexcept {
  for (int first = 0; first < count; first += 32) {
    for (int r = 0; r < kPanelRows; ++r, panel += 32) {
      for (int half = 0; half < 32; half += 16) {
        const int left = r < rows ? least(16, count - first - half) : 0;
        store_bf16(panel + half,
                   left > 0 ? load_n(x + at_row(r, stride) + first + half, left) : splat(0));
      }
    }
  }
}

static void interleave_bf16_rows(const bf16* x, std::size_t stride, int rows, int count,
                                 bf16* panel) noexcept {
  for (int first = 0; first < count; first += 32) {
    const __mmask32 mask = count - first >= 32 ? ~0u : (1u << (count - first)) - 1u;
    for (int r = 0; r < kPanelRows; ++r, panel += 32) {
      const __m512i columns = r < rows
                                  ? _mm512_maskz_loadu_epi16(mask, x + at_row(r, stride) + first)
                                  : _mm512_setzero_si512();
      _mm512_storeu_si512(panel, columns);
    }
  }
}

// The lanes of a tile are rows of pairs: columns of x, turned.
template <class T>
static void columns_pairs(const T* x, std::size_t stride, int rows, int lanes,
                          bf16* panel) noexcept {
  for (int first = 0; first < rows; first += 32) {
    __m512i turned[kPanelRows];
    turn_pairs(x, stride, first, rows, 0, lanes, turned);
    for (int r = 0; r < kPanelRows; ++r, panel += 32) _mm512_storeu_si512(panel, turned[r]);
  }
}

static void interleave_i8(const std::int8_t* q, std::size_t stride, int rows, int count,
                          std::byte* panel) noexcept {
  for (int first = 0; first < count; first += 64) {
    const __mmask16 mask = first_lanes(least(64, count - first) / 4);
    for (int r = 0; r < kPanelRows; ++r, panel += 64) {
      const __m512i columns = r < rows
                                  ? _mm512_maskz_loadu_epi32(mask, q + at_row(r, stride) + first)
                                  : _mm512_setzero_si512();
      _mm512_storeu_si512(panel, columns);
    }
  }
}

// One digit of inputs of class i8: eight lanes every 64 bytes (see store_input).
struct DigitLanes {
  const std::byte* q;
  std::size_t stride;
  __m256i eight(int row, int first) const {
    return _mm256_loadu_si256(
        reinterpret_cast<const __m256i*>(q + at_row(row, stride) + 8 * first));
  }
  __m512i lanes(int row, int first) const {
    return _mm512_inserti64x4(_mm512_castsi256_si512(eight(row, first)), eight(row, first + 8), 1);
  }
  __m512i lanes_n(int row, int first, int n) const {
    return n == 16 ? lanes(row, first) : _mm512_zextsi256_si512(eight(row, first));
  }
  static __m512i nothing() { return _mm512_setzero_si512(); }
};

// A block of input rows over a chunk of columns.
struct Span {
  int row, rows;
  int column, columns;
};

// Up to 32 input rows as two halves of B: [lane][16 rows]. Scales by group (i8) or slab (f8).
struct InputBlock {
  alignas(64) std::byte b[2][kChunk / 2 * 64];
  alignas(64) std::byte low[2][kChunk / 4 * 64];  // i8: the low digits; b has the high ones
  alignas(64) float scale[kChunk / 16][2][kHalf];
  alignas(64) float scaled_sum[kChunk / 16][2][kHalf];  // scale·float(Σq)
};

// The rows of `span` in each half: op(half, its first row, how many).
template <class Op>
static inline void each_half(const Span& span, Op op) {
  for (int half = 0; half * kHalf < span.rows; ++half) {
    op(half, span.row + half * kHalf, least(kHalf, span.rows - half * kHalf));
  }
}

// Interleaves BF16 rows; lanes up to a whole tile are zeros.
static void pack_pairs(const bf16* x, std::size_t stride, const Span& span, InputBlock& block) {
  const int lanes = (span.columns + 1) / 2;
  each_half(span, [&](int half, int row, int rows) {
    interleave_lanes(PairsOfBf16{x + at_row(row, stride) + span.column, stride, span.columns}, rows,
                     lanes, block.b[half]);
    for (int lane = lanes; lane % 16 != 0; ++lane)
      _mm512_store_si512(block.b[half] + lane * 64, _mm512_setzero_si512());
  });
}

// The sums of P panels with Q halves of input rows, as the tiles have them: [weight row][input
// row].
template <int P, int Q>
struct Sums {
  alignas(64) float at[P][Q][kPanelRows][kHalf];

  // y begins at the block's first row and panel; `rows` rows of it exist.
  void read(const float* y, std::size_t stride, int rows, Onto onto) {
    if (onto != Onto::continued) {
      std::memset(at, 0, sizeof at);
      return;
    }
    for (int p = 0; p < P; ++p) {
      for (int q = 0; q < Q; ++q) {
        __m512i r[16];
        for (int i = 0; i < 16; ++i) {
          const int row = q * kHalf + i;
          r[i] = row < rows ? _mm512_loadu_si512(y + at_row(row, stride) + p * kPanelRows)
                            : _mm512_setzero_si512();
        }
        transpose(r);
        for (int i = 0; i < 16; ++i) _mm512_store_si512(at[p][q][i], r[i]);
      }
    }
  }
  void write(float* y, std::size_t stride, int rows, Onto onto) const {
    for (int p = 0; p < P; ++p) {
      for (int q = 0; q < Q; ++q) {
        __m512i r[16];
        for (int i = 0; i < 16; ++i) r[i] = _mm512_load_si512(at[p][q][i]);
        transpose(r);
        for (int i = 0; i < 16 && q * kHalf + i < rows; ++i) {
          float* to = y + at_row(q * kHalf + i, stride) + p * kPanelRows;
          const Vec sum{_mm512_castsi512_ps(r[i])};
          store(to, onto == Onto::added ? load(to) + sum : sum);
        }
      }
    }
  }
};

template <int P, int Q, class Op>
static inline void each_tile(Op op) {
  op.template operator()<0, 0>();
  if constexpr (Q == 2) op.template operator()<0, 1>();
  if constexpr (P == 2) op.template operator()<1, 0>();
  if constexpr (P == 2 && Q == 2) op.template operator()<1, 1>();
}

// One step of all tiles: A from `a`, the next panel's `a_stride` bytes further; B from byte `b` of
// the halves.
template <int P, int Q>
static inline void load_operands(Tiles& tiles, const std::byte* a, std::size_t a_stride,
                                 const std::byte (*inputs)[kChunk / 2 * 64], int b) {
  tiles.template load_weights<0>(a, 64);
  if constexpr (P == 2) tiles.template load_weights<1>(a + a_stride, 64);
  tiles.template load_inputs<0>(inputs[0] + b, 64);
  if constexpr (Q == 2) tiles.template load_inputs<1>(inputs[1] + b, 64);
}

template <int P, int Q>
static inline void add_pairs(Tiles& tiles, const std::byte* a, std::size_t a_stride,
                             const InputBlock& block, int first, int end) {
  for (int t = first; t < end; ++t) {
    load_operands<P, Q>(tiles, a + t * kTileBytes, a_stride, block.b, t * kTileBytes);
    each_tile<P, Q>([&]<int p, int q>() { tiles.template dot_bf16<p, q>(); });
  }
}

struct TileBf16 {
  using Input = Bf16Input;
  using Panels = Bf16Panels;
  static constexpr TileConfig kConfig = tile_config(64);

  static void pack(const Input& x, const Span& span, InputBlock& block) {
    pack_pairs(x.x, x.stride, span, block);
  }

  template <int P, int Q>
  static inline void add(Tiles& tiles, const InputBlock& block, const Panels& w, int panel,
                         const Span& span, Sums<P, Q>& sums) {
    const std::byte* a = reinterpret_cast<const std::byte*>(w.w + at_row(panel, w.stride) +
                                                            span.column * kPanelRows);
    each_tile<P, Q>([&]<int p, int q>() { tiles.template load_sums<p, q>(sums.at[p][q], 64); });
    add_pairs<P, Q>(tiles, a, w.stride * 2, block, 0, (span.columns + 31) / 32);
    each_tile<P, Q>([&]<int p, int q>() { tiles.template store_sums<p, q>(sums.at[p][q], 64); });
  }
};

struct TileF8 {
  using Input = F8Input;
  using Panels = F8Panels;
  static constexpr TileConfig kConfig = tile_config(64);

  static void pack(const Input& x, const Span& span, InputBlock& block) {
    pack_pairs(x.q, x.q_stride, span, block);
    each_half(span, [&](int half, int row, int rows) {
      for (int slab = 0; slab * 128 < span.columns; ++slab) {
        for (int i = 0; i < kHalf; ++i) {
          block.scale[slab][half][i] =
              i < rows ? x.scale[at_row(row + i, x.scale_stride) + static_cast<std::size_t>(slab)]
                       : 0;
        }
      }
    });
  }

  // Slabs start at the call's first column: a call has one chunk.
  template <int P, int Q>
  static inline void add(Tiles& tiles, const InputBlock& block, const Panels& w, int panel,
                         const Span& span, Sums<P, Q>& sums) {
    const std::byte* a = reinterpret_cast<const std::byte*>(w.q + at_row(panel, w.q_stride));
    alignas(64) float part[P][Q][kPanelRows][kHalf];
    for (int slab = 0; slab * 128 < span.columns; ++slab) {
      each_tile<P, Q>([&]<int p, int q>() { tiles.template clear_sums<p, q>(); });
      add_pairs<P, Q>(tiles, a, w.q_stride * 2, block, 4 * slab,
                      least(4 * slab + 4, (span.columns + 31) / 32));
      each_tile<P, Q>([&]<int p, int q>() { tiles.template store_sums<p, q>(part[p][q], 64); });
      for (int p = 0; p < P; ++p) {
        const float* scale = w.scale + at_row(panel + p, w.scale_stride) + slab * kPanelRows;
        for (int q = 0; q < Q; ++q) {
          const Vec input_scale = load(block.scale[slab][q]);
          for (int r = 0; r < kPanelRows; ++r) {
            store(sums.at[p][q][r],
                  fma(load(part[p][q][r]), input_scale * splat(scale[r]), load(sums.at[p][q][r])));
          }
        }
      }
    }
  }
};

// G: columns of a group.
template <int G>
struct TileI8 {
  using Input = I8Input;
  using Panels = I8Panels;
  static constexpr TileConfig kConfig = tile_config(G);

  static void pack(const Input& x, const Span& span, InputBlock& block) {
    each_half(span, [&](int half, int row, int rows) {
      const std::byte* q = x.q + at_row(row, x.q_stride) + span.column * kI8InputBytes;
      interleave_lanes(DigitLanes{q, x.q_stride}, rows, span.columns / 4, block.b[half]);
      interleave_lanes(DigitLanes{q + 32, x.q_stride}, rows, span.columns / 4, block.low[half]);
      for (int g = 0; g * G < span.columns; ++g) {
        const std::size_t column = static_cast<std::size_t>(span.column + g * G);
        for (int i = 0; i < kHalf; ++i) {
          float scale = 0, sum = 0;
          if (i < rows) {
            const std::int32_t* s = x.sums + at_row(row + i, x.sums_stride) + column / 16;
            scale = x.scale[at_row(row + i, x.scale_stride) + column / 32];
            sum = static_cast<float>(G == 32 ? s[0] + s[1] : s[0]);
          }
          block.scale[g][half][i] = scale;
          block.scaled_sum[g][half][i] = scale * sum;
        }
      }
    });
  }

  template <int P, int Q>
  static inline void add(Tiles& tiles, const InputBlock& block, const Panels& w, int panel,
                         const Span& span, Sums<P, Q>& sums) {
    const std::byte* a = w.q + at_row(panel, w.q_stride) + span.column * kPanelRows;
    alignas(64) std::int32_t high[P][Q][kPanelRows][kHalf], low[P][Q][kPanelRows][kHalf];
    for (int g = 0; g * G < span.columns; ++g) {
      each_tile<P, Q>([&]<int p, int q>() { tiles.template clear_sums<p, q>(); });
      load_operands<P, Q>(tiles, a + g * G / 64 * kTileBytes + g * G % 64, w.q_stride, block.b,
                          g * G * kHalf);
      each_tile<P, Q>([&]<int p, int q>() { tiles.template dot_i8<p, q>(); });
      each_tile<P, Q>([&]<int p, int q>() { tiles.template store_sums<p, q>(high[p][q], 64); });
      each_tile<P, Q>([&]<int p, int q>() { tiles.template clear_sums<p, q>(); });
      tiles.template load_inputs<0>(block.low[0] + g * G * kHalf, 64);
      if constexpr (Q == 2) tiles.template load_inputs<1>(block.low[1] + g * G * kHalf, 64);
      each_tile<P, Q>([&]<int p, int q>() { tiles.template dot_i8<p, q>(); });
      each_tile<P, Q>([&]<int p, int q>() { tiles.template store_sums<p, q>(low[p][q], 64); });
      for (int p = 0; p < P; ++p) {
        const std::size_t at = at_row(panel + p, w.scale_stride) +
                               static_cast<std::size_t>((span.column / G + g) * kPanelRows);
        for (int q = 0; q < Q; ++q) {
          chain(high[p][q], low[p][q], w.scale + at, w.offset ? w.offset + at : nullptr,
                load(block.scale[g][q]), load(block.scaled_sum[g][q]), sums.at[p][q]);
        }
      }
    }
  }

 private:
  // One group of 16 weight rows with 16 input rows: the floating-point steps of I8Panels.
  static inline void chain(const std::int32_t (*high)[kHalf], const std::int32_t (*low)[kHalf],
                           const float* scale, const float* offset, Vec input_scale, Vec scaled_sum,
                           float (*sums)[kHalf]) {
    for (int r = 0; r < kPanelRows; ++r) {
      const __m512i both = _mm512_slli_epi32(load_lanes(high[r]).v, 8);
      const Vec dot = to_float({_mm512_add_epi32(both, load_lanes(low[r]).v)});
      Vec sum = fma(dot, splat(scale[r]) * input_scale, load(sums[r]));
      if (offset) sum = fma(splat(offset[r]), scaled_sum, sum);
      store(sums[r], sum);
    }
  }
};

template <class Tile, int P, int Q>
static void multiply_block(Tiles& tiles, const InputBlock& block, const typename Tile::Panels& w,
                           int panel, const Span& span, const TileShape& shape, float* y) {
  Sums<P, Q> sums;
  float* at = y + at_row(span.row, shape.y_stride) + panel * kPanelRows;
  const Onto onto = span.column > 0 ? Onto::continued : shape.onto;
  sums.read(at, shape.y_stride, span.rows, onto);
  Tile::template add<P, Q>(tiles, block, w, panel, span, sums);
  sums.write(at, shape.y_stride, span.rows, onto);
}

template <class Tile>
static void multiply(const typename Tile::Input& x, const typename Tile::Panels& w,
                     const TileShape& shape, float* y) noexcept {
  Tiles tiles(Tile::kConfig);
  InputBlock block;
  for (int row = 0; row < shape.m; row += kBlockRows) {
    for (int column = 0; column < shape.count; column += kChunk) {
      const Span span{row, least(kBlockRows, shape.m - row), column,
                      least(kChunk, shape.count - column)};
      Tile::pack(x, span, block);
      for (int panel = 0; panel < shape.panels; panel += 2) {
        const bool pair = panel + 1 < shape.panels;
        const auto run =
            pair ? (span.rows > kHalf ? multiply_block<Tile, 2, 2> : multiply_block<Tile, 2, 1>)
                 : (span.rows > kHalf ? multiply_block<Tile, 1, 2> : multiply_block<Tile, 1, 1>);
        run(tiles, block, w, panel, span, shape, y);
      }
    }
  }
}

static void multiply_i8(const I8Input& x, const I8Panels& w, const TileShape& shape,
                        float* y) noexcept {
  if (w.group == 32) {
    multiply<TileI8<32>>(x, w, shape, y);
  } else {
    multiply<TileI8<16>>(x, w, shape, y);
  }
}

static constexpr AmxTiles kTiles = {.interleave_bf16 = interleave_bf16,
                                    .interleave_bf16_rows = interleave_bf16_rows,
                                    .columns_bf16 = columns_pairs<float>,
                                    .columns_bf16_rows = columns_pairs<bf16>,
                                    .interleave_i8 = interleave_i8,
                                    .multiply_bf16 = multiply<TileBf16>,
                                    .multiply_i8 = multiply_i8,
                                    .multiply_f8 = multiply<TileF8>};
