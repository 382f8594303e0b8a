// backend.h — Backend: whole-tensor operations of one device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/compute_class.h"
#include "base/isa.h"
#include "tensor/tensor.h"
#include "tensor/weight.h"

namespace nautile {

// Rows of a matrix [rows, cols] as they lie in a Weight; scales of F8 blocks are found by
// first_row.
struct MatrixView {
  Format format = Format::f32;
  const std::byte* data = nullptr;
  std::size_t row_stride = 0;  // bytes
  std::int64_t rows = 0, cols = 0;
  ScaleFormat scale_format = ScaleFormat::none;
  const std::byte* scales = nullptr;
  std::int64_t first_row = 0;  // of the matrix that the scales describe

  MatrixView slice(std::int64_t begin, std::int64_t count) const;
};

// Matrix `index` of a stack [E, out, in], or the whole of [out, in].
MatrixView matrix(const Weight& weight, std::int64_t index = 0);

// One weight product; a call carries many, which share a parallel region and equal inputs.
// y[m, w.rows] = x[m, w.cols] · wᵀ + bias. Rows of x and y are strided (in floats).
struct Product {
  MatrixView w;
  const float* x = nullptr;
  std::size_t x_stride = 0;
  std::int64_t m = 0;
  float* y = nullptr;
  std::size_t y_stride = 0;
  const float* bias = nullptr;  // [w.rows] or null
};

// Cached rows of one sequence in one layer: position p lies at
// pages[p / page_tokens] + layer_offset + (p % page_tokens)·row_bytes.
struct KvRows {
  const std::byte* const* pages = nullptr;
  std::int64_t page_tokens = 0;
  std::size_t layer_offset = 0;
  std::size_t row_bytes = 0;

  const std::byte* row(std::int64_t position) const {
    return pages[position / page_tokens] + layer_offset +
           static_cast<std::size_t>(position % page_tokens) * row_bytes;
  }
};

// The queries of one sequence: `count` consecutive tokens from batch row `first`, the first of them
// at `position`; the query at position p sees keys 0..p.
struct QuerySpan {
  std::int64_t first = 0, count = 0, position = 0;
  KvRows keys, values;
};

// Heads share keys in groups: query head h reads key head h / (query_heads / kv_heads). Key head j
// starts `key_head_bytes`·j into a keys row, and likewise for values.
struct AttendShape {
  int query_heads = 0, kv_heads = 0;
  int key_dims = 0, value_dims = 0;
  Format key_format = Format::bf16, value_format = Format::bf16;
  std::size_t key_head_bytes = 0, value_head_bytes = 0;
  float scale = 1;
};

// Attention of a batch that is its own past; all F32. Head h of the queries reads key head
// h / (query_heads / kv_heads). Rows of k and v may be strided so that they can lie in one tensor.
// MLA's rotary keys, shared by all heads, are `shared_key` [T, shared_dims] or null: key head j of
// token t is then [k(t, j) [key_dims − shared_dims] ; shared_key(t)].
struct FreshAttention {
  const float* q = nullptr;  // [T, query_heads·key_dims]
  const float* k = nullptr;  // row t at k + t·k_stride, head j at + j·k_head
  const float* v = nullptr;
  const float* shared_key = nullptr;
  std::size_t k_stride = 0, k_head = 0, v_stride = 0, v_head = 0;
  int query_heads = 0, kv_heads = 0, key_dims = 0, value_dims = 0, shared_dims = 0;
  float scale = 1;
  std::span<const std::int32_t> starts;  // [S+1] rows that may attend to one another, causally
};

// How router scores become expert choices (DeepSeek-V2 and V3 reports; spec: transformers).
struct RouteRule {
  enum class Score : std::uint8_t { softmax, sigmoid };
  enum class GroupScore : std::uint8_t { max, sum_of_top2 };
  enum class Normalize : std::uint8_t { no, yes };
  Score score = Score::softmax;
  GroupScore group_score = GroupScore::max;
  Normalize normalize = Normalize::no;
  int experts = 0, chosen = 0;
  int groups = 1, chosen_groups = 1;
  float scale = 1;
};

class GradientBackend;

class Backend {
 public:
  virtual ~Backend() = default;

  virtual std::string describe() const = 0;
  virtual int threads() const = 0;
  // The class a weight of this format is multiplied in, unless a product asks for another.
  virtual ComputeClass compute_class(Format format) const = 0;

  virtual void products(std::span<const Product> list, std::optional<ComputeClass> forced) = 0;
  // y[m, w.cols] = x[m, w.rows] · w, in F32 on dequantized weights; bias is not used.
  virtual void products_transposed(std::span<const Product> list) = 0;

  // y [T, D]: rows of the table, dequantized. Token ids are checked upstairs.
  virtual void embed(const Weight& table, std::span<const std::int32_t> tokens, Tensor y) = 0;
  // Rows of `width` numbers, `stride` apart, normalized with gain [width]; y may be x.
  virtual void rms_norm(const float* x, std::size_t x_stride, std::int64_t rows, const float* gain,
                        std::int64_t width, float eps, float* y, std::size_t y_stride) = 0;
  // Rotates [rows] × [heads] slices of 2·half numbers in place. angle row of batch row i: cos/sin
  // tables [positions, half] at positions[i].
  enum class RopeOrder : std::uint8_t { pairs, halves };
  virtual void rope(float* x, std::size_t row_stride, std::size_t head_stride, std::int64_t heads,
                    std::span<const std::int32_t> positions, const float* cos, const float* sin,
                    std::int64_t half, RopeOrder order) = 0;
  virtual void silu_mul(Tensor gate, Tensor up, Tensor y) = 0;
  virtual void add(Tensor a, Tensor b, Tensor y) = 0;

  // Converts rows of x to `format` at out (row i at out[i]).
  virtual void store_rows(const float* x, std::size_t x_stride, std::int64_t rows,
                          std::int64_t width, Format format, std::byte* const* out) = 0;
  // The first `count` cached rows -> y [count, width].
  virtual void load_rows(const KvRows& rows, std::int64_t count, Format format, Tensor y) = 0;

  // out [T, query_heads·value_dims] from q [T, query_heads·key_dims].
  virtual void attend(const float* q, std::span<const QuerySpan> spans, const AttendShape& shape,
                      float* out) = 0;

  // scores [T, E] -> chosen [T, K] in descending order of selection score, weights [T, K].
  // bias [E] or null: chooses, never weighs.
  virtual void route(Tensor scores, const float* bias, const RouteRule& rule, std::int32_t* chosen,
                     float* weights) = 0;
  // out[t] += Σ_k weights[t, k]·rows[slot[t, k]], k ascending.
  virtual void combine(Tensor rows, const std::int32_t* slot, const float* weights, int chosen,
                       Tensor out) = 0;
  // y[i] = x[index[i]]
  virtual void gather(Tensor x, std::span<const std::int32_t> index, Tensor y) = 0;

  // Gives attend()'s bits for the same keys. out [T, query_heads·value_dims]; lse
  // [T, query_heads] is log Σ exp(scale·score), for the gradient; null where it is not wanted.
  virtual void attend_fresh(const FreshAttention& a, float* out, float* lse) = 0;
  // lse[i] = log Σ_j exp(logits[i, j]), in a fixed order
  virtual void log_sum_exp(Tensor logits, float* lse) = 0;

  // How gradients flow back through these operations.
  virtual GradientBackend& gradients() = 0;
};

struct CpuOptions {
  Isa isa = Isa::reference;
  int threads = 1;
  std::optional<ComputeClass> compute_class;  // overrides the default where the format allows it
};
std::unique_ptr<Backend> make_cpu_backend(const CpuOptions& options);

}  // namespace nautile
