// tile_amx.h — the products of the amx table.
// Included inside an anonymous namespace after vec_avx512.h, tile_avx512.h and a header with Tiles.
//
// Nothing is packed for the tiles. The A operand is sixteen input rows, 64 bytes of each, and the B
// operand sixteen lanes of an avx512 panel, both as they lie. A sum tile is [input row][weight
// row], as y is.
//
// Order of sums, per output: per 32 columns, from the start of the chunk, what TDPBF16PS adds; a
// last step is filled up with zeros.
//
// Class i8 stays with VPDPBUSD: its sums leave the tiles after every 32 columns to be scaled, which
// gained a tenth from 16 rows on, and lost a third where a group has 16 columns.

static constexpr int kHalf = 16;       // input rows of a tile
static constexpr int kBlockRows = 32;  // input rows multiplied together
static constexpr int kTileBytes = 1024;

static inline int least(int a, int b) {
  return a < b ? a : b;
}
static inline std::size_t at_row(int row, std::size_t stride) {
  return static_cast<std::size_t>(row) * stride;
}
template <class T>
static inline const std::byte* row_bytes(const T* x, int row, std::size_t stride) {
  return reinterpret_cast<const std::byte*>(x + at_row(row, stride));
}

// op<q, p>() for Q halves of the input rows and P panels.
template <int Q, int P, class Op>
static inline void each_tile(Op op) {
  op.template operator()<0, 0>();
  if constexpr (P == 2) op.template operator()<0, 1>();
  if constexpr (Q == 2) op.template operator()<1, 0>();
  if constexpr (Q == 2 && P == 2) op.template operator()<1, 1>();
}

// Input rows [row, row + rows) with P panels from `panel` on.
struct Block {
  int row, rows, panel;
};

// A block's sums, apart from y.
template <int Q, int P>
struct Sums {
  alignas(64) float at[Q * kHalf][P][kPanelRows];

  void take(Tiles& tiles) {
    each_tile<Q, P>(
        [&]<int q, int p>() { tiles.template store_sums<q, p>(at[q * kHalf][p], sizeof at[0]); });
  }
  // op(row, panel, y's sixteen sums), for the block's rows.
  template <class Op>
  static void each(const Block& block, const TileShape& shape, float* y, Op op) {
    for (int i = 0; i < block.rows; ++i) {
      for (int p = 0; p < P; ++p)
        op(i, p, y + at_row(block.row + i, shape.y_stride) + (block.panel + p) * kPanelRows);
    }
  }
  void read(const Block& block, const TileShape& shape, float* y) {
    const bool continued = shape.onto == Onto::continued;
    each(block, shape, y, [&](int i, int p, const float* from) {
      store(at[i][p], continued ? load(from) : splat(0));
    });
  }
  void write(const Block& block, const TileShape& shape, float* y) const {
    const bool added = shape.onto == Onto::added;
    each(block, shape, y, [&](int i, int p, float* to) {
      const Vec sum = load(at[i][p]);
      store(to, added ? load(to) + sum : sum);
    });
  }
};

// One step of 32 columns; strides in bytes.
template <int Q, int P>
static inline void add_step(Tiles& tiles, const std::byte* x, std::size_t x_stride,
                            const std::byte* w, std::size_t w_stride) {
  tiles.template load_inputs<0>(x, x_stride);
  tiles.template load_panels<0>(w, 64);
  if constexpr (P == 2) tiles.template load_panels<1>(w + w_stride, 64);
  if constexpr (Q == 2) tiles.template load_inputs<1>(x + at_row(kHalf, x_stride), x_stride);
  each_tile<Q, P>([&]<int q, int p>() { tiles.template dot_bf16<q, p>(); });
}

// `columns` columns of BF16. The last ones are copied: behind them another row begins, or nothing.
template <int Q, int P>
static inline void add_pairs(Tiles& tiles, const std::byte* x, std::size_t x_stride, int rows,
                             const std::byte* w, std::size_t w_stride, int columns) {
  int c = 0;
  for (; c + 32 <= columns; c += 32)
    add_step<Q, P>(tiles, x + c * 2, x_stride, w + c / 32 * kTileBytes, w_stride);
  if (c == columns) return;
  alignas(64) std::byte last[Q * kHalf][64];
  const __mmask32 mask = (1u << (columns - c)) - 1u;
  for (int i = 0; i < rows; ++i)
    _mm512_store_si512(last[i], _mm512_maskz_loadu_epi16(mask, x + at_row(i, x_stride) + c * 2));
  add_step<Q, P>(tiles, last[0], 64, w + c / 32 * kTileBytes, w_stride);
}

struct TileBf16 {
  using Input = Bf16Input;
  using Panels = Bf16Panels;

  template <int Q, int P>
  static inline void run(Tiles& tiles, const Input& x, const Panels& w, const Block& block,
                         const TileShape& shape, float* y) {
    float* to = y + at_row(block.row, shape.y_stride) + block.panel * kPanelRows;
    const std::size_t stride = shape.y_stride * sizeof(float);
    const auto at = [&](int q, int p) {
      return to + at_row(q * kHalf, shape.y_stride) + p * kPanelRows;
    };
    if (shape.onto == Onto::continued) {
      each_tile<Q, P>([&]<int q, int p>() { tiles.template load_sums<q, p>(at(q, p), stride); });
    } else {
      each_tile<Q, P>([&]<int q, int p>() { tiles.template clear_sums<q, p>(); });
    }
    add_pairs<Q, P>(tiles, row_bytes(x.x, block.row, x.stride), x.stride * 2, block.rows,
                    row_bytes(w.w, block.panel, w.stride), w.stride * 2, shape.count);
    if (shape.onto != Onto::added) {
      each_tile<Q, P>([&]<int q, int p>() { tiles.template store_sums<q, p>(at(q, p), stride); });
      return;
    }
    Sums<Q, P> sums;
    sums.take(tiles);
    sums.write(block, shape, y);
  }
};

// Slabs start at the call's first column: a call has one chunk.
struct TileF8 {
  using Input = F8Input;
  using Panels = F8Panels;

  template <int Q, int P>
  static inline void run(Tiles& tiles, const Input& x, const Panels& w, const Block& block,
                         const TileShape& shape, float* y) {
    Sums<Q, P> sums, part;
    sums.read(block, shape, y);
    for (int slab = 0; slab * 128 < shape.count; ++slab) {
      each_tile<Q, P>([&]<int q, int p>() { tiles.template clear_sums<q, p>(); });
      add_pairs<Q, P>(tiles, row_bytes(x.q, block.row, x.q_stride) + slab * 256, x.q_stride * 2,
                      block.rows, row_bytes(w.q, block.panel, w.q_stride) + slab * 4 * kTileBytes,
                      w.q_stride * 2, least(128, shape.count - slab * 128));
      part.take(tiles);
      Vec scale[P];
      for (int p = 0; p < P; ++p)
        scale[p] = load(w.scale + at_row(block.panel + p, w.scale_stride) + slab * kPanelRows);
      for (int i = 0; i < block.rows; ++i) {
        const Vec input =
            splat(x.scale[at_row(block.row + i, x.scale_stride) + static_cast<std::size_t>(slab)]);
        for (int p = 0; p < P; ++p)
          store(sums.at[i][p], fma(load(part.at[i][p]), input * scale[p], load(sums.at[i][p])));
      }
    }
    sums.write(block, shape, y);
  }
};

// A pair of panels stays in L1 while the rows pass by.
template <class Tile>
static void multiply(const typename Tile::Input& x, const typename Tile::Panels& w,
                     const TileShape& shape, float* y) noexcept {
  for (int begin = 0; begin < shape.m;) {
    // Whole blocks first, then what is left: its tiles have another shape.
    const int rows = least(kBlockRows, shape.m - begin);
    const int end = rows < kBlockRows ? shape.m : shape.m - shape.m % kBlockRows;
    Tiles tiles(tile_config(rows));
    for (int panel = 0; panel < shape.panels; panel += 2) {
      const bool pair = panel + 1 < shape.panels;
      const auto run = pair ? (rows > kHalf ? Tile::template run<2, 2> : Tile::template run<1, 2>)
                            : (rows > kHalf ? Tile::template run<2, 1> : Tile::template run<1, 1>);
      for (int row = begin; row < end; row += rows) run(tiles, x, w, {row, rows, panel}, shape, y);
    }
    begin = end;
  }
}

static constexpr AmxTiles kTiles = {.multiply_bf16 = multiply<TileBf16>,
                                    .multiply_f8 = multiply<TileF8>};
