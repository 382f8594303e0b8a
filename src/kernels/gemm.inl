// gemm.inl — products of input rows with panels, written once over Vec and the table's tile.
//
// A panel holds 16 weight rows side by side, so a register's lanes are 16 (or 8) different outputs
// and every output is one chain of sums in ascending k: no horizontal sum, no dependence on how
// many rows or panels are computed together. Blocking only decides how many chains are in flight:
// kRowsF × kTilePanels registers of sums hide the latency of the multiply-add, and each loaded
// weight register serves kRowsF rows. A slice of panels stays in L1 (kChunk columns), so memory
// sees each weight once per call of the driver.

static constexpr int kRegs = kPanelRows / Vec::kWidth;  // registers per panel

static void interleave_f32(const float* x, std::size_t stride, int rows, int count,
                           float* panel) noexcept {
  interleave_lanes(RowsOfFloats{x, stride}, rows, count, reinterpret_cast<std::byte*>(panel));
}
// BF16 panels are filled up to whole tiles of sixteen lanes.
static inline void fill_tile(bf16* panel, int lanes) {
  if (lanes % 16 != 0)
    __builtin_memset(panel + lanes * 32, 0, static_cast<std::size_t>(16 - lanes % 16) * 64);
}
static void interleave_bf16(const float* x, std::size_t stride, int rows, int count,
                            bf16* panel) noexcept {
  interleave_lanes(PairsOfFloats{x, stride, count}, rows, (count + 1) / 2,
                   reinterpret_cast<std::byte*>(panel));
  fill_tile(panel, (count + 1) / 2);
}
static void interleave_bf16_rows(const bf16* x, std::size_t stride, int rows, int count,
                                 bf16* panel) noexcept {
  interleave_lanes(PairsOfBf16{x, stride, count}, rows, (count + 1) / 2,
                   reinterpret_cast<std::byte*>(panel));
  fill_tile(panel, (count + 1) / 2);
}
static void interleave_i8(const std::int8_t* q, std::size_t stride, int rows, int count,
                          std::byte* panel) noexcept {
  interleave_lanes(QuadsOfI8{q, stride}, rows, count / kI8PerLane, panel);
}

static void columns_f32(const float* x, std::size_t stride, int rows, int lanes,
                        float* panel) noexcept {
  for (int k = 0; k < rows; ++k) {
    for (int lane = 0; lane < kPanelRows; lane += Vec::kWidth) {
      const int n = clamp_lanes(lanes - lane);
      store(panel + k * kPanelRows + lane,
            load_some(x + static_cast<std::size_t>(k) * stride + (n > 0 ? lane : 0), n));
    }
  }
}
template <class T>
static void columns_pairs(const T* x, std::size_t stride, int rows, int lanes,
                          bf16* panel) noexcept {
  for (int k = 0; k < rows; k += 2) {
    for (int lane = 0; lane < kPanelRows; lane += Vec::kWidth) {
      const int n = clamp_lanes(lanes - lane);
      store_lanes_n(panel + (k / 2 * kPanelRows + lane) * 2,
                    row_pair(x, stride, k, rows, n > 0 ? lane : 0, n), Vec::kWidth);
    }
  }
  fill_tile(panel, (rows + 1) / 2);
}

// The sums of M rows × P panels, read from y, written back.
template <int M, int P>
struct Sums {
  static constexpr int kCols = P * kRegs;
  Vec at[M][kCols];

  // op(row, register of the row, where the sums lie in y)
  template <class Op>
  static inline void each(Op op, float* y, std::size_t stride) {
#pragma GCC unroll 8
    for (int i = 0; i < M; ++i) {
#pragma GCC unroll 8
      for (int c = 0; c < kCols; ++c)
        op(i, c, y + static_cast<std::size_t>(i) * stride + c * Vec::kWidth);
    }
  }
  void read(float* y, const TileShape& shape) {
    if (shape.onto == Onto::continued) {
      each([&](int i, int c, const float* p) { at[i][c] = load(p); }, y, shape.y_stride);
    } else {
      each([&](int i, int c, const float*) { at[i][c] = splat(0); }, y, shape.y_stride);
    }
  }
  void write(float* y, const TileShape& shape) const {
    if (shape.onto == Onto::added) {
      each([&](int i, int c, float* p) { store(p, load(p) + at[i][c]); }, y, shape.y_stride);
    } else {
      each([&](int i, int c, float* p) { store(p, at[i][c]); }, y, shape.y_stride);
    }
  }
};

// Adds `lanes` 32-bit lanes of pairs (BF16) to the sums. w: panels from `w_stride` bytes to the
// next.
template <int M, int P>
static inline void add_bf16(Sums<M, P>& sums, const std::byte* x, std::size_t x_stride,
                            const std::byte* w, std::size_t w_stride, int lanes) {
  for (int k = 0; k < lanes; ++k) {
    IntVec row[P * kRegs];
#pragma GCC unroll 8
    for (int c = 0; c < P * kRegs; ++c) {
      row[c] =
          load_lanes(w + static_cast<std::size_t>(c / kRegs) * w_stride + k * 64 + c % kRegs * 32);
    }
#pragma GCC unroll 8
    for (int i = 0; i < M; ++i) {
      const IntVec input = splat_lane(x + static_cast<std::size_t>(i) * x_stride + k * 4);
#pragma GCC unroll 8
      for (int c = 0; c < P * kRegs; ++c) sums.at[i][c] = dot_bf16(sums.at[i][c], row[c], input);
    }
  }
}

struct TileF32 {
  using Input = F32Input;
  using Panels = F32Panels;
  static constexpr int kRows = kRowsF;

  template <int M, int P>
  static inline void run(const Input& input, std::size_t first, const Panels& panels,
                         std::size_t panel, const TileShape& shape, float* y) {
    const float* x = input.x + first * input.stride;
    const float* w = panels.w + panel * panels.stride;
    Sums<M, P> sums;
    sums.read(y, shape);
    for (int k = 0; k < shape.count; ++k) {
      Vec row[P * kRegs];
#pragma GCC unroll 8
      for (int c = 0; c < P * kRegs; ++c) {
        row[c] = load(w + static_cast<std::size_t>(c / kRegs) * panels.stride + k * kPanelRows +
                      c % kRegs * Vec::kWidth);
      }
#pragma GCC unroll 8
      for (int i = 0; i < M; ++i) {
        const Vec value =
            splat(x[static_cast<std::size_t>(i) * input.stride + static_cast<std::size_t>(k)]);
#pragma GCC unroll 8
        for (int c = 0; c < P * kRegs; ++c) sums.at[i][c] = fma(value, row[c], sums.at[i][c]);
      }
    }
    sums.write(y, shape);
  }
};

// F32 inputs with BF16 panels: the low half of a lane is the even column.
struct TileF32Bf16 {
  using Input = F32Input;
  using Panels = Bf16Panels;
  static constexpr int kRows = kRowsF - 2;  // two registers of widened weights beside the sums

  template <int M, int P>
  static inline void run(const Input& input, std::size_t first, const Panels& panels,
                         std::size_t panel, const TileShape& shape, float* y) {
    const float* x = input.x + first * input.stride;
    const bf16* w = panels.w + panel * panels.stride;
    Sums<M, P> sums;
    sums.read(y, shape);
    for (int k = 0; k < shape.count; k += 2) {
      IntVec row[P * kRegs];
#pragma GCC unroll 8
      for (int c = 0; c < P * kRegs; ++c) {
        row[c] = load_lanes(w + static_cast<std::size_t>(c / kRegs) * panels.stride +
                            k * kPanelRows + c % kRegs * 16);
      }
#pragma GCC unroll 8
      for (int i = 0; i < M; ++i) {
        const float* pair = x + static_cast<std::size_t>(i) * input.stride + k;
        const Vec even = splat(pair[0]), odd = splat(pair[1]);
#pragma GCC unroll 8
        for (int c = 0; c < P * kRegs; ++c) {
          sums.at[i][c] = fma(odd, high_bf16(row[c]), fma(even, low_bf16(row[c]), sums.at[i][c]));
        }
      }
    }
    sums.write(y, shape);
  }
};

struct TileBf16 {
  using Input = Bf16Input;
  using Panels = Bf16Panels;
  static constexpr int kRows = kRowsBf16;

  template <int M, int P>
  static inline void run(const Input& input, std::size_t first, const Panels& panels,
                         std::size_t panel, const TileShape& shape, float* y) {
    Sums<M, P> sums;
    sums.read(y, shape);
    add_bf16<M, P>(sums, reinterpret_cast<const std::byte*>(input.x + first * input.stride),
                   input.stride * 2,
                   reinterpret_cast<const std::byte*>(panels.w + panel * panels.stride),
                   panels.stride * 2, (shape.count + 1) / 2);
    sums.write(y, shape);
  }
};

struct TileF8 {
  using Input = F8Input;
  using Panels = F8Panels;
  static constexpr int kRows = kRowsI;

  template <int M, int P>
  static inline void run(const Input& input, std::size_t first, const Panels& panels,
                         std::size_t panel, const TileShape& shape, float* y) {
    const std::byte* x = reinterpret_cast<const std::byte*>(input.q + first * input.q_stride);
    const std::byte* w = reinterpret_cast<const std::byte*>(panels.q + panel * panels.q_stride);
    Sums<M, P> sums;
    sums.read(y, shape);
    for (int slab = 0; slab * 128 < shape.count; ++slab) {
      const int left = shape.count - slab * 128;
      Sums<M, P> part;
#pragma GCC unroll 8
      for (int i = 0; i < M; ++i) {
#pragma GCC unroll 8
        for (int c = 0; c < P * kRegs; ++c) part.at[i][c] = splat(0);
      }
      add_bf16<M, P>(part, x + slab * 256, input.q_stride * 2, w + slab * 64 * 64,
                     panels.q_stride * 2, ((left < 128 ? left : 128) + 1) / 2);
#pragma GCC unroll 8
      for (int i = 0; i < M; ++i) {
        const Vec sx =
            splat(input.scale[(first + static_cast<std::size_t>(i)) * input.scale_stride +
                              static_cast<std::size_t>(slab)]);
#pragma GCC unroll 8
        for (int c = 0; c < P * kRegs; ++c) {
          const std::size_t at =
              (panel + static_cast<std::size_t>(c / kRegs)) * panels.scale_stride;
          const Vec sw = load(panels.scale + at + slab * kPanelRows + c % kRegs * Vec::kWidth);
          sums.at[i][c] = fma(part.at[i][c], sx * sw, sums.at[i][c]);
        }
      }
    }
    sums.write(y, shape);
  }
};

struct TileI8 {
  using Input = I8Input;
  using Panels = I8Panels;
  static constexpr int kRows = kRowsI;

  template <int M, int P>
  static inline void run(const Input& input, std::size_t first, const Panels& panels,
                         std::size_t panel, const TileShape& shape, float* y) {
    if (panels.group == 32) {
      groups<M, P, 32>(input, first, panels, panel, shape, y);
    } else {
      groups<M, P, 16>(input, first, panels, panel, shape, y);
    }
  }

 private:
  template <int M, int P, int G>
  static inline void groups(const Input& input, std::size_t first, const Panels& panels,
                            std::size_t panel, const TileShape& shape, float* y) {
    constexpr int kLanes = G / kI8PerLane;  // 32-bit lanes of one group
    const std::byte* x = input.q + first * input.q_stride;
    const std::byte* w = panels.q + panel * panels.q_stride;
    Sums<M, P> sums;
    sums.read(y, shape);
    for (int g = 0; g * G < shape.count; ++g) {
      IntVec dots[M][P * kRegs];
      std::int32_t input_sum[M];
#pragma GCC unroll 8
      for (int i = 0; i < M; ++i) {
        const std::int32_t* s =
            input.sums + (first + static_cast<std::size_t>(i)) * input.sums_stride;
        input_sum[i] = G == 32 ? s[2 * g] + s[2 * g + 1] : s[g];
#pragma GCC unroll 8
        for (int c = 0; c < P * kRegs; ++c) dots[i][c] = start_i8();
      }
#pragma GCC unroll 2
      for (int digit = 0; digit < kDigits; ++digit) {
#pragma GCC unroll 8
        for (int i = 0; i < M && digit > 0; ++i) {
#pragma GCC unroll 8
          for (int c = 0; c < P * kRegs; ++c) dots[i][c] = next_digit(dots[i][c]);
        }
#pragma GCC unroll 16
        for (int k = 0; k < kLanes; ++k) {
          IntVec row[P * kRegs];
#pragma GCC unroll 8
          for (int c = 0; c < P * kRegs; ++c) {
            row[c] = load_lanes(w + static_cast<std::size_t>(c / kRegs) * panels.q_stride +
                                (g * kLanes + k) * 64 + c % kRegs * 32);
          }
#pragma GCC unroll 8
          for (int i = 0; i < M; ++i) {
            const IntVec value = splat_lane(x + static_cast<std::size_t>(i) * input.q_stride +
                                            input_at<G>(g, digit, k));
#pragma GCC unroll 8
            for (int c = 0; c < P * kRegs; ++c) dots[i][c] = dot_i8(dots[i][c], row[c], value);
          }
        }
      }
#pragma GCC unroll 8
      for (int i = 0; i < M; ++i) {
        const float sx = input.scale[(first + static_cast<std::size_t>(i)) * input.scale_stride +
                                     static_cast<std::size_t>(g * G / 32)];
#pragma GCC unroll 8
        for (int c = 0; c < P * kRegs; ++c) {
          const std::size_t at =
              (panel + static_cast<std::size_t>(c / kRegs)) * panels.scale_stride +
              static_cast<std::size_t>(g * kPanelRows + c % kRegs * Vec::kWidth);
          Vec sum = fma(to_float(finish_i8(dots[i][c], input_sum[i])),
                        load(panels.scale + at) * splat(sx), sums.at[i][c]);
          if (panels.offset) {
            sum = fma(load(panels.offset + at), splat(sx * static_cast<float>(input_sum[i])), sum);
          }
          sums.at[i][c] = sum;
        }
      }
    }
    sums.write(y, shape);
  }
};

template <class Tile, int P>
static void multiply_rows(const typename Tile::Input& x, const typename Tile::Panels& w,
                          std::size_t panel, const TileShape& shape, float* y) {
  int i = 0;
  const auto at = [&](int row) { return y + static_cast<std::size_t>(row) * shape.y_stride; };
  for (; i + Tile::kRows <= shape.m; i += Tile::kRows) {
    Tile::template run<Tile::kRows, P>(x, static_cast<std::size_t>(i), w, panel, shape, at(i));
  }
  for (; i + 2 <= shape.m; i += 2) {
    Tile::template run<2, P>(x, static_cast<std::size_t>(i), w, panel, shape, at(i));
  }
  if (i < shape.m) Tile::template run<1, P>(x, static_cast<std::size_t>(i), w, panel, shape, at(i));
}

template <class Tile>
static void multiply(const typename Tile::Input& x, const typename Tile::Panels& w,
                     const TileShape& shape, float* y) noexcept {
  int p = 0;
  for (; p + kTilePanels <= shape.panels; p += kTilePanels) {
    multiply_rows<Tile, kTilePanels>(x, w, static_cast<std::size_t>(p), shape, y + p * kPanelRows);
  }
  if constexpr (kTilePanels > 2) {  // a lone panel has too few chains in flight
    for (; p + 2 <= shape.panels; p += 2)
      multiply_rows<Tile, 2>(x, w, static_cast<std::size_t>(p), shape, y + p * kPanelRows);
  }
  for (; p < shape.panels; ++p) {
    multiply_rows<Tile, 1>(x, w, static_cast<std::size_t>(p), shape, y + p * kPanelRows);
  }
}
