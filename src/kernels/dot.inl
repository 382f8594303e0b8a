// dot.inl — products of very few input rows with 16 weight rows, straight from the file's bytes;
// written once over Vec and a table's dot_lanes.
//
// A decode step has one input row: interleaving a panel to use it once costs more than the product.
// Here a weight row's 32 codes meet the input as they lie, and dot_lanes adds their partial sums
// across to registers whose lanes are rows. The sums of a group are whole numbers, and the
// floating-point steps are those of TileI8, so the two paths agree to the bit. Scales are prepared
// sixteen rows at a time.

// Rows of one panel; rows that do not exist repeat the first, and nobody reads their sums.
struct PanelRows {
  const u8* row[kPanelRows];
};

static inline PanelRows panel_rows(const std::byte* row0, std::size_t stride, int rows) {
  PanelRows p;
  for (int r = 0; r < kPanelRows; ++r) {
    p.row[r] =
        reinterpret_cast<const u8*>(row0) + (r < rows ? static_cast<std::size_t>(r) * stride : 0);
  }
  return p;
}

// Scales [group][16] and offsets of up to 256 columns of every row.
struct ScaleTile {
  alignas(64) float scale[16][kPanelRows];
  alignas(64) float offset[16][kPanelRows];
};

// `blocks` 32-weight blocks from `byte` on: all begin with the half float d, affine ones go on with
// m.
template <class F>
NAUTILE_INLINE void simple_scales(const PanelRows& p, std::size_t byte, int blocks,
                                  ScaleTile& tile) {
  alignas(64) std::uint32_t words[8][kPanelRows];
  for (int b = 0; b < blocks; ++b) {
    const std::size_t at = byte + static_cast<std::size_t>(b * info(F::kFormat).block_bytes);
#pragma GCC unroll 16
    for (int r = 0; r < kPanelRows; ++r) words[b][r] = value_at<std::uint32_t>(p.row[r] + at);
  }
  for (int b = 0; b < blocks; ++b) {
    for (int lane = 0; lane < kPanelRows; lane += Vec::kWidth) {
      const IntVec pair = load_lanes(words[b] + lane);
      store(tile.scale[b] + lane, low_half(pair));
      if constexpr (F::kOffsets == Offsets::per_group)
        store(tile.offset[b] + lane, high_half(pair));
    }
  }
}

// Q4_K and Q5_K: d, dmin and twelve bytes of 6-bit scales and mins, handled with rows as lanes.
// Words a0 and a1 hold the first four of each in their low six bits; the other four have low
// nibbles in a2 and their upper two bits in a0 and a1 (layout: formats_k.inl).
static inline void six_bit_scales(const PanelRows& p, std::size_t byte, ScaleTile& tile) {
  for (int lane = 0; lane < kPanelRows; lane += Vec::kWidth) {
    IntVec words[4];
    load_words(p.row + lane, byte, words);
    const IntVec a2 = words[3];
    for (int mins = 0; mins < 2; ++mins) {
      const IntVec a = words[1 + mins];
      const IntVec upper = either(bits(a2, 4 * mins, 0x0f0f0f0f), bits(a, 2, 0x30303030));
      const Vec d = mins ? splat(-0.0f) - high_half(words[0]) : low_half(words[0]);
      float(*out)[kPanelRows] = mins ? tile.offset : tile.scale;
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) {
        store(out[j] + lane, d * to_float(bits(a, 8 * j, 63)));
        store(out[4 + j] + lane, d * to_float(bits(upper, 8 * j, 63)));
      }
    }
  }
}

// One super-block of every row.
template <class F>
NAUTILE_INLINE void super_scales(const PanelRows& p, std::size_t byte, ScaleTile& tile) {
  for (int r = 0; r < kPanelRows; ++r) F::scales(p.row[r] + byte, tile.scale[r], tile.offset[r]);
  transpose_floats(tile.scale);
  if constexpr (F::kOffsets == Offsets::per_group) transpose_floats(tile.offset);
}

template <class F>
struct FewRows {
  static constexpr int kBlock = info(F::kFormat).block, kBytes = info(F::kFormat).block_bytes;
  static constexpr int kGroups = kBlock / F::kGroup;
  static constexpr bool kAffine = F::kOffsets == Offsets::per_group;

  // One group's whole-number sums into the chain; the tile's scales from `group` on are theirs.
  static inline Vec chain(Vec sum, IntVec dots, const ScaleTile& tile, int group, int lane,
                          float sx, std::int32_t input_sum) {
    if constexpr (!kAffine) dots = dots - splat_whole(kCodeBias * input_sum);
    sum = fma(to_float(dots), load(tile.scale[group] + lane) * splat(sx), sum);
    if constexpr (kAffine) {
      sum = fma(load(tile.offset[group] + lane), splat(sx * static_cast<float>(input_sum)), sum);
    }
    return sum;
  }

  // Part P (32 columns) of the blocks at `byte` and the parts after it; `column` is the block's,
  // its scales begin at `group` of the tile.
  template <int P, int M>
  NAUTILE_INLINE void parts(const PanelRows& rows, std::size_t byte, const ScaleTile& tile,
                            int group, const I8Input& x, std::size_t column, Vec (&sum)[M][kRegs]) {
    if constexpr (P < kBlock / 32) {
      DotInput input[M];
#pragma GCC unroll 2
      for (int i = 0; i < M; ++i) {
        input[i] = dot_input(x.q + static_cast<std::size_t>(i) * x.q_stride +
                             kI8InputBytes * (column + 32 * P));
      }
#pragma GCC unroll 2
      for (int c = 0; c < kRegs; ++c) {
        IntVec half[M][2];
        // Codes of affine formats are not negative as they are.
        dot_lanes<F, P, !kAffine>(rows.row + c * Vec::kWidth, byte, input, half);
#pragma GCC unroll 2
        for (int i = 0; i < M; ++i) {
          const std::int32_t* s =
              x.sums + static_cast<std::size_t>(i) * x.sums_stride + column / 16 + 2 * P;
          const float sx = x.scale[static_cast<std::size_t>(i) * x.scale_stride + column / 32 + P];
          const int lane = c * Vec::kWidth;
          Vec& to = sum[i][c];
          if constexpr (F::kGroup == 32) {
            to = chain(to, half[i][0] + half[i][1], tile, group + P, lane, sx, s[0] + s[1]);
          } else {
            to = chain(to, half[i][0], tile, group + 2 * P, lane, sx, s[0]);
            to = chain(to, half[i][1], tile, group + 2 * P + 1, lane, sx, s[1]);
          }
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
    Vec sum[M][kRegs];
    for (int i = 0; i < M; ++i) {
      for (int c = 0; c < kRegs; ++c) sum[i][c] = splat(0);
    }
    const u8* next = rows.row[0] + kPanelRows * stride;
    ScaleTile tile;
    std::size_t byte = 0;
    for (int c = 0; c < count; c += kSpan) {
      const int columns = count - c < kSpan ? count - c : kSpan;
      if constexpr (F::kFormat == Format::q4_k || F::kFormat == Format::q5_k) {
        six_bit_scales(rows, byte, tile);
      } else if constexpr (kGroups == 1) {
        simple_scales<F>(rows, byte, columns / 32, tile);
      } else {
        super_scales<F>(rows, byte, tile);
      }
      for (int b = 0; b < columns / kBlock; ++b, byte += kBytes) {
        prefetch(next + kPanelRows * byte, kPanelRows * kBytes);
        parts<0, M>(rows, byte, tile, b * kGroups, x, static_cast<std::size_t>(c + b * kBlock),
                    sum);
      }
    }
    for (int i = 0; i < M; ++i) {
      for (int c = 0; c < kRegs; ++c)
        store(y + static_cast<std::size_t>(i) * y_stride + c * Vec::kWidth, sum[i][c]);
    }
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
