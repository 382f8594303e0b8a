// kernels.h — Kernels: the table of pure functions that one instruction set offers, and its
// contracts.
//
// All functions are noexcept, start no threads, allocate nothing, keep nothing. Pointers need no
// alignment unless stated. Arithmetic order is fixed per output element: for one table a result
// depends only on that element's own inputs, never on how many rows or panels a call carries.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bf16.h"
#include "base/isa.h"
#include "kernels/formats.h"

namespace nautile::kernels {

// Columns of a weight that are unpacked at a time; a multiple of every block size.
inline constexpr int kChunk = 512;
// The widest run of panels that one multiply takes: 64 weight rows.
inline constexpr int kMaxPanels = 4;
// Keys of one attention block, cut by absolute position.
inline constexpr int kKeyBlock = 64;

// What becomes of y: the sums continue from it, replace it (it is not read), or begin at zero and
// are added to it.
enum class Onto : std::uint8_t { continued, replaced, added };

// m rows of input against `panels` panels over `count` columns; `count` is at most kChunk if sums
// are added. y is [m][16·panels], row stride y_stride floats.
struct TileShape {
  int m;
  int panels;
  int count;
  std::size_t y_stride;
  Onto onto = Onto::continued;
};

// Class f32: y = fma(x[k], w[k], y) in ascending k.
struct F32Input {
  const float* x;
  std::size_t stride;  // elements from row to row
};
struct F32Panels {
  const float* w;      // as interleave_f32 wrote them
  std::size_t stride;  // elements from panel to panel
};

// Class bf16: pairs (2k, 2k+1) in ascending k; inside a pair the table's own order. The amx table
// sums 32 columns, counted from the call's first, before it adds them to y (tile_amx.h).
struct Bf16Input {
  const bf16* x;  // an odd count is followed by a zero
  std::size_t stride;
};
struct Bf16Panels {
  const bf16* w;  // as interleave_bf16 wrote them
  std::size_t stride;
};

// Inputs of class i8: whole numbers q of 15 bits and a sign, per 32 columns a scale, per 16 columns
// the sum of q. Two bytes per column, in the table's own order inside 32 columns. Sixteen bits
// because eight cost more accuracy than the weights' own rounding (SmolLM2 Q4_1: KL 2.7e-3 nats
// against 3e-4) and a decode step, bound by memory, does not feel them. Strides go from row to row.
inline constexpr int kI8InputBytes = 2;
inline constexpr float kI8InputMax = 32512;  // 127·256: both base-256 digits are signed bytes
struct I8Input {
  const std::byte* q;
  std::size_t q_stride;      // bytes
  const float* scale;        // [m][count/32]
  std::size_t scale_stride;  // elements
  const std::int32_t* sums;  // [m][count/16]
  std::size_t sums_stride;   // elements
};

// Weights of class i8: panels as interleave_i8 wrote them, scales and offsets [count/group][16].
// Per group, in ascending order, with t the integer dot product and s the sum of q of the input:
//   y = fma(float(t), scale_w·scale_x, y);  with offsets then  y = fma(offset_w, scale_x·float(s),
//   y)
struct I8Panels {
  const std::byte* q;
  std::size_t q_stride;  // bytes from panel to panel
  const float* scale;
  const float* offset;       // null unless the format has offsets
  std::size_t scale_stride;  // floats from panel to panel
  int group;                 // 16 or 32
};

// Class fp8dyn: E4M3 values held exactly in BF16. `count` is at most one chunk; slabs of 128.
struct F8Input {
  const bf16* q;             // [m][count], padded with zeros to an even count
  std::size_t q_stride;      // elements
  const float* scale;        // [m][ceil(count/128)]
  std::size_t scale_stride;  // elements
};
struct F8Panels {
  const bf16* q;             // as interleave_bf16 wrote them
  std::size_t q_stride;      // elements from panel to panel
  const float* scale;        // [ceil(count/128)][16]
  std::size_t scale_stride;  // floats from panel to panel
};

enum class F8Scale : std::uint8_t { any, power_of_two };

// The smallest amax that class fp8dyn reckons with. Of inputs, as DeepSeek's inference code has it.
// Of gradients, whose size goes with 1 / tokens of a batch, none: what keeps a scale normal.
inline constexpr float kF8LeastInput = 1e-4f, kF8LeastGradient = 1e-35f;

struct PanelKernels {
  // From 16 rows (row stride `stride` elements; rows beyond `rows` count as zeros) to panel order.
  // F32: panel[k][16]. BF16: panel[k/2][16][2], rounding, filled up with zeros to a multiple of 32
  // columns, of which amx makes a tile.
  void (*interleave_f32)(const float* x, std::size_t stride, int rows, int count,
                         float* panel) noexcept;
  void (*interleave_bf16)(const float* x, std::size_t stride, int rows, int count,
                          bf16* panel) noexcept;
  // The same from rows that are BF16 already (`stride` in elements).
  void (*interleave_bf16_rows)(const bf16* x, std::size_t stride, int rows, int count,
                               bf16* panel) noexcept;
  // Integers: the table's own order, i8_panel_bytes per value. A panel has room for a multiple of
  // 64 columns.
  void (*interleave_i8)(const std::int8_t* q, std::size_t stride, int rows, int count,
                        std::byte* panel) noexcept;
  // Panels whose lanes are columns of x (`lanes` of at most 16) and whose sums run over its rows,
  // in the same orders.
  void (*columns_f32)(const float* x, std::size_t stride, int rows, int lanes,
                      float* panel) noexcept;
  void (*columns_bf16)(const float* x, std::size_t stride, int rows, int lanes,
                       bf16* panel) noexcept;
  void (*columns_bf16_rows)(const bf16* x, std::size_t stride, int rows, int lanes,
                            bf16* panel) noexcept;
  int i8_panel_bytes;
  bool bf16_tiles;  // class bf16 multiplies many times as fast as class f32
  // y[c][r] = x[r][c]
  void (*transpose)(const float* x, std::size_t stride, int rows, int columns, float* y,
                    std::size_t y_stride) noexcept;

  // Inputs of a class from F32 rows. count is padded as the structs above say. Where the products
  // of BF16 take subnormal numbers for zeros, these and the columns above may make zeros of them.
  void (*pack_bf16)(const float* x, int count, bf16* out) noexcept;
  // y[c][r] = x[r][c], rounded; after an odd number of rows a zero.
  void (*turn_to_bf16)(const float* x, std::size_t stride, int rows, int columns, bf16* y,
                       std::size_t y_stride) noexcept;
  // scale = amax/kI8InputMax, q = nearest even of x·(kI8InputMax/amax); count is a multiple of 32.
  void (*pack_i8)(const float* x, int count, std::byte* q, float* scale,
                  std::int32_t* sums) noexcept;
  // scale = max(amax, least)/448 per 128 columns, raised to a power of two if asked (UE8M0).
  void (*pack_f8)(const float* x, int count, F8Scale style, float least, bf16* q,
                  float* scale) noexcept;

  void (*multiply_f32)(const F32Input& x, const F32Panels& panels, const TileShape& shape,
                       float* y) noexcept;
  // Class f32 with weights that are BF16 already: the same sums to the bit. count is even.
  void (*multiply_f32_bf16)(const F32Input& x, const Bf16Panels& panels, const TileShape& shape,
                            float* y) noexcept;
  void (*multiply_bf16)(const Bf16Input& x, const Bf16Panels& panels, const TileShape& shape,
                        float* y) noexcept;
  void (*multiply_i8)(const I8Input& x, const I8Panels& panels, const TileShape& shape,
                      float* y) noexcept;
  void (*multiply_f8)(const F8Input& x, const F8Panels& panels, const TileShape& shape,
                      float* y) noexcept;
};

struct RowKernels {
  // y[i] = x[i]·gain[i] / sqrt(mean(x²) + eps)
  void (*rms_norm)(const float* x, const float* gain, int n, float eps, float* y) noexcept;
  // y[i] = silu(gate[i])·up[i], silu(a) = a / (1 + exp(-a))
  void (*silu_mul)(const float* gate, const float* up, int n, float* y) noexcept;
  // y[i] = a[i] + b[i]
  void (*add)(const float* a, const float* b, int n, float* y) noexcept;
  // y[i] += s·x[i], one fused multiply-add each
  void (*add_scaled)(const float* x, float s, int n, float* y) noexcept;
  // Rotates pairs of x [2·half] in place by angle i: interleaved pairs (2i, 2i+1), or halves (i,
  // i+half).
  void (*rope_pairs)(float* x, const float* cos, const float* sin, int half) noexcept;
  void (*rope_halves)(float* x, const float* cos, const float* sin, int half) noexcept;
  // Conversions of a row.
  void (*to_bf16)(const float* x, int n, bf16* y) noexcept;
  void (*from_bf16)(const bf16* x, int n, float* y) noexcept;
};

struct AttentionKernels {
  // One block of an online softmax. scores [m][stride]: row i has `valid[i]` keys in this block (0
  // leaves the row alone). On return scores hold exp(scale·s - max'), zero past valid[i]; max[i],
  // sum[i] are updated and factor[i] is what the row's earlier output must be multiplied with.
  void (*softmax_block)(float* scores, std::size_t stride, int m, const int* valid, float scale,
                        float* max, float* sum, float* factor) noexcept;
  // out[i][c] = factor[i]·out[i][c] + Σ_j p[i][j]·v[j][c], j ascending, c < cols.
  void (*mix)(const float* p, std::size_t p_stride, int m, const float* factor, const float* v,
              std::size_t v_stride, int keys, int cols, float* out,
              std::size_t out_stride) noexcept;
  // The same from BF16 values.
  void (*mix_bf16)(const float* p, std::size_t p_stride, int m, const float* factor, const bf16* v,
                   std::size_t v_stride, int keys, int cols, float* out,
                   std::size_t out_stride) noexcept;
};

// What one step of AdamW multiplies with, for all numbers of a call:
//   g' = g·grad_scale, m = fma(beta1, m, rest1·g'), v = fma(beta2, v, rest2·g'·g'),
//   w = w·keep − rate·m / fma(√v, root, epsilon)
struct AdamWFactors {
  float grad_scale, beta1, rest1, beta2, rest2, keep, rate, root, epsilon;
};

struct GradientKernels {
  // dx = ∂/∂x of rms_norm, dgain += (null: not wanted); dx may be dy.
  void (*rms_norm)(const float* x, const float* gain, int n, float eps, const float* dy, float* dx,
                   float* dgain) noexcept;
  // Of silu_mul; dgate and dup may be any of the inputs.
  void (*silu_mul)(const float* gate, const float* up, const float* dy, int n, float* dgate,
                   float* dup) noexcept;
  // One block of attention: rows of scores become p = exp(scale·s − lse), those of dp become
  // p·(dp − delta)·scale; both are zero from valid[i] up to kKeyBlock.
  void (*softmax_block)(float* scores, float* dp, std::size_t stride, int m, const int* valid,
                        float scale, const float* lse, const float* delta) noexcept;
  float (*dot)(const float* a, const float* b, int n) noexcept;
  // y[i] = s·x[i]
  void (*scale)(const float* x, float s, int n, float* y) noexcept;
  // Σ exp(x[i] − top), top the largest; n >= 1.
  float (*sum_exp)(const float* x, int n, float* top) noexcept;
  // x[i] = scale·exp(x[i] − lse)
  void (*log_prob)(float* x, int n, float lse, float scale) noexcept;
  // y[i] += (x[0][i] + x[1][i] + …)
  void (*add_rows)(const float* x, std::size_t stride, int rows, int n, float* y) noexcept;
  // y[i] = fma(a, x[i], b·y[i])
  void (*blend)(float a, const float* x, float b, int n, float* y) noexcept;
  double (*sum_of_squares)(const float* x, int n) noexcept;
  void (*adamw)(const AdamWFactors& f, const float* g, int n, float* w, float* m,
                float* v) noexcept;
  void (*adamw_bf16)(const AdamWFactors& f, const float* g, int n, float* w, bf16* m,
                     bf16* v) noexcept;
};

struct Kernels {
  Isa isa;
  RowKernels rows;
  PanelKernels panels;
  AttentionKernels attention;
  GradientKernels gradients;
  const FormatKernels* formats;  // [kFormatCount], in the order of Format

  const FormatKernels& format(Format f) const { return formats[static_cast<int>(f)]; }
};

// The table of an instruction set. Every table is always linked; ask cpu_features() before using
// one.
const Kernels& table(Isa isa);

}  // namespace nautile::kernels
