// cpu_attention_gradient.cpp — gradients of attention within a batch, in blocks that are computed
// again (FlashAttention-2, Dao 2023): in F32, or with operands rounded to BF16 where class bf16 is
// asked for and the table has tiles for it.
//
// A task is one key head of one span: it alone writes that head's dk and dv and its queries' dq, so
// nothing is summed across threads but MLA's shared keys, whose parts per head are added in the end
// in ascending order. A task walks blocks of kKeyBlock keys, and for each the tiles of as many
// queries that see it, both cut by position inside the span, both ascending: every sum is one chain
// in a fixed order. Memory is a few tiles for each thread, and the parts [heads, T, shared_dims].
//
// Where there are too few heads and spans to go round, a task is one block of keys or one tile of
// queries. Scores are then computed twice (seven products for five), and the chains are the same.
#include <algorithm>
#include <cstring>
#include <utility>

#include "backend/cpu_gradients.h"
#include "base/error.h"

namespace nautile {

using kernels::kKeyBlock;
using kernels::kPanelRows;

class AttentionGradientRun {
 public:
  AttentionGradientRun(CpuBackend& backend, const FreshAttention& a, const float* out,
                       const float* lse, const float* dout,
                       const GradientBackend::AttentionGradients& g)
      : backend_(backend),
        kernels_(backend.kernels_),
        a_(a),
        out_(out),
        lse_(lse),
        dout_(dout),
        g_(g),
        d_(static_cast<std::size_t>(a.key_dims)),
        v_(static_cast<std::size_t>(a.value_dims)),
        shared_(a.shared_key ? static_cast<std::size_t>(a.shared_dims) : 0),
        heads_(static_cast<std::size_t>(a.query_heads)),
        tokens_(a.starts.empty() ? 0 : static_cast<std::size_t>(a.starts.back())),
        narrow_(kernels_.panels.bf16_tiles &&
                backend.compute_class(Format::f32) == ComputeClass::bf16 && d_ % kPanelRows == 0 &&
                v_ % kPanelRows == 0) {}

  void run() {
    if (tokens_ == 0) return;
    reserve_shared();
    sum_products();
    make_tasks();
    backend_.pool_.run([this](int thread) {
      const std::size_t at = static_cast<std::size_t>(thread);
      if (shares_[at] == shares_[at + 1]) return;
      const Buffers b = make_buffers(backend_.workspaces_[at]);
      for (std::size_t i = shares_[at]; i < shares_[at + 1]; ++i) attend(tasks_[i], b);
    });
    if (shared_ > 0) sum_shared_keys();
  }

 private:
  static constexpr std::size_t kTile = kKeyBlock;  // queries of one head
  static constexpr double kUneven = 1.4;           // what computing scores twice costs

  // Numbers of a row of BF16, filled up to whole tiles.
  static std::size_t whole(std::size_t numbers) { return (numbers + 31) / 32 * 32; }

  std::size_t kv_heads() const { return static_cast<std::size_t>(a_.kv_heads); }

  // What a task makes: gradients of one block of keys, of one tile of queries, or of all.
  enum class Part : std::uint8_t { all, keys, queries };

  // One key head of one span of rows [first, first + count); the block or tile begins at `at`.
  struct Task {
    std::size_t first, count, head;
    Part part = Part::all;
    std::size_t at = 0;
    double cost = 0;
  };

  // Keys [first, first + count) of a task.
  struct KeyBlock {
    std::size_t first, count;
  };

  // Operands in BF16. Rows: of queries and douts, of ds by query, of p and ds by key. Panels of
  // keys and values as below; panels of columns, whose sums run over keys or over queries.
  struct Narrow {
    bf16 *queries, *douts, *ds, *p_turned, *ds_turned;
    bf16 *key_panels, *value_panels, *key_columns, *query_columns, *dout_columns;
  };

  struct Buffers {
    float *keys, *values;                  // [64, d], [64, v]: a block's rows
    float *key_panels, *value_panels;      // the same, interleaved
    float *dkeys, *dvalues;                // [64, d], [64, v]
    float *queries, *douts;                // [64, d], [64, v]: a tile's rows
    float *p, *ds, *p_turned, *ds_turned;  // [64, 64]: by query, and by key
    float *lse, *delta, *ones;             // [64]
    int* valid;                            // [64]
    Narrow narrow;
  };

  // Bytes of all of them, and of what rounding up to cache lines adds.
  std::size_t buffer_bytes() const {
    const std::size_t n = kTile, square = n * n;
    const std::size_t wide = sizeof(float) * (4 * n * (d_ + v_) + 4 * square + 4 * n);
    const std::size_t narrow =
        sizeof(bf16) * (n * (2 * whole(d_) + 2 * whole(v_) + 2 * d_ + v_) + 3 * square);
    return wide + (narrow_ ? narrow : 0) + 32 * 64;
  }

  Buffers make_buffers(Workspace& workspace) const {
    const std::size_t n = kTile, square = n * n;
    float* at = reinterpret_cast<float*>(workspace.reserve(buffer_bytes()));
    const auto take = [&at](std::size_t floats) {
      return std::exchange(at, at + (floats + 15) / 16 * 16);
    };
    Buffers b{};
    b.keys = take(n * d_);
    b.values = take(n * v_);
    b.key_panels = take(n * d_);
    b.value_panels = take(n * v_);
    b.dkeys = take(n * d_);
    b.dvalues = take(n * v_);
    b.queries = take(n * d_);
    b.douts = take(n * v_);
    for (float** tile : {&b.p, &b.ds, &b.p_turned, &b.ds_turned}) *tile = take(square);
    for (float** row : {&b.lse, &b.delta, &b.ones}) *row = take(n);
    b.valid = reinterpret_cast<int*>(take(n));
    std::fill(b.ones, b.ones + n, 1.0f);
    if (!narrow_) return b;
    const auto halves = [&](std::size_t count) {
      return reinterpret_cast<bf16*>(take((count + 1) / 2));
    };
    b.narrow = {.queries = halves(n * whole(d_)),
                .douts = halves(n * whole(v_)),
                .ds = halves(square),
                .p_turned = halves(square),
                .ds_turned = halves(square),
                .key_panels = halves(n * whole(d_)),
                .value_panels = halves(n * whole(v_)),
                .key_columns = halves(n * d_),
                .query_columns = halves(n * d_),
                .dout_columns = halves(n * v_)};
    return b;
  }

  // δ [T, heads] and the parts of dshared [key heads, T, shared_dims].
  void reserve_shared() {
    const std::size_t parts = shared_ * tokens_ * kv_heads();
    const std::size_t deltas = (tokens_ * heads_ + 15) / 16 * 16;
    float* at =
        reinterpret_cast<float*>(backend_.shared_.reserve((deltas + parts) * sizeof(float)));
    delta_ = at;
    parts_ = at + deltas;
  }

  // δ = out·dout of every query.
  void sum_products() {
    backend_.pool_.parallel_for(static_cast<std::int64_t>(tokens_ * heads_), 256,
                                [&](std::int64_t begin, std::int64_t end, int) {
                                  for (std::size_t i = static_cast<std::size_t>(begin);
                                       i < static_cast<std::size_t>(end); ++i) {
                                    delta_[i] = kernels_.gradients.dot(
                                        out_ + i * v_, dout_ + i * v_, static_cast<int>(v_));
                                  }
                                });
  }

  void make_tasks() {
    each_head([this](Task task) {
      const double n = static_cast<double>(task.count);
      task.cost = 5 * n * (n + kTile) / 2;
      tasks_.push_back(task);
    });
    if (share_tasks() <= kUneven) return;
    tasks_.clear();
    each_head([this](Task task) {
      for (task.at = 0; task.at < task.count; task.at += kTile) {
        task.part = Part::keys;
        task.cost = 4 * static_cast<double>(task.count - task.at);
        tasks_.push_back(task);
      }
      for (task.at = 0; task.at < task.count; task.at += kTile) {
        task.part = Part::queries;
        task.cost = 3 * static_cast<double>(std::min(task.count, task.at + kTile));
        tasks_.push_back(task);
      }
    });
    share_tasks();
  }

  template <class Body>
  void each_head(Body body) const {
    for (std::size_t s = 0; s + 1 < a_.starts.size(); ++s) {
      const std::size_t first = static_cast<std::size_t>(a_.starts[s]),
                        count = static_cast<std::size_t>(a_.starts[s + 1]) - first;
      for (std::size_t head = 0; head < kv_heads() && count > 0; ++head)
        body(Task{.first = first, .count = count, .head = head});
    }
  }

  // Contiguous shares of near-equal cost; returns the largest in units of a fair one.
  double share_tasks() {
    double total = 0, before = 0, begin = 0, largest = 0;
    for (const Task& task : tasks_) total += task.cost;
    const int threads = backend_.threads();
    shares_.assign(static_cast<std::size_t>(threads) + 1, tasks_.size());
    shares_[0] = 0;
    int next = 1;
    for (std::size_t i = 0; i < tasks_.size(); ++i) {
      while (next < threads && before + tasks_[i].cost / 2 >= total * next / threads) {
        shares_[static_cast<std::size_t>(next++)] = i;
        largest = std::max(largest, before - begin);
        begin = before;
      }
      before += tasks_[i].cost;
    }
    largest = std::max(largest, before - begin);
    return total > 0 ? largest * threads / total : 1;
  }

  void attend(const Task& task, const Buffers& b) const {
    switch (task.part) {
      case Part::all:
        for (std::size_t first = 0; first < task.count; first += kKeyBlock) keys(task, first, b);
        break;
      case Part::keys:
        keys(task, task.at, b);
        break;
      case Part::queries:
        for (std::size_t first = 0; first <= task.at; first += kKeyBlock) {
          const KeyBlock block = load_keys(task, first, b);
          each_query_head(task, [&](std::size_t h) { step(task, block, h, task.at, b); });
        }
        break;
    }
  }

  // The block of keys from `first` on, against all queries that see it.
  void keys(const Task& task, std::size_t first, const Buffers& b) const {
    const KeyBlock block = load_keys(task, first, b);
    std::memset(b.dkeys, 0, block.count * d_ * sizeof(float));
    std::memset(b.dvalues, 0, block.count * v_ * sizeof(float));
    for (std::size_t tile = first; tile < task.count; tile += kTile)
      each_query_head(task, [&](std::size_t h) { step(task, block, h, tile, b); });
    store_keys(task, block, b);
  }

  template <class Body>
  void each_query_head(const Task& task, Body body) const {
    const std::size_t group = heads_ / kv_heads();
    for (std::size_t h = task.head * group; h < (task.head + 1) * group; ++h) body(h);
  }

  // A block's keys and values as rows and as panels; shared dims come last in a key.
  KeyBlock load_keys(const Task& task, std::size_t first, const Buffers& b) const {
    const KeyBlock block{first, std::min<std::size_t>(kKeyBlock, task.count - first)};
    const std::size_t own = d_ - shared_;
    for (std::size_t j = 0; j < block.count; ++j) {
      const std::size_t token = task.first + block.first + j;
      std::memcpy(b.keys + j * d_, a_.k + token * a_.k_stride + task.head * a_.k_head,
                  own * sizeof(float));
      if (shared_ > 0) {
        std::memcpy(b.keys + j * d_ + own, a_.shared_key + token * shared_,
                    shared_ * sizeof(float));
      }
      std::memcpy(b.values + j * v_, a_.v + token * a_.v_stride + task.head * a_.v_head,
                  v_ * sizeof(float));
    }
    if (narrow_) {
      round_keys(block, b);
      return block;
    }
    for (std::size_t j = 0; j < block.count; j += kPanelRows) {
      const int rows = static_cast<int>(std::min<std::size_t>(kPanelRows, block.count - j));
      kernels_.panels.interleave_f32(b.keys + j * d_, d_, rows, a_.key_dims, b.key_panels + j * d_);
      kernels_.panels.interleave_f32(b.values + j * v_, v_, rows, a_.value_dims,
                                     b.value_panels + j * v_);
    }
    return block;
  }

  void store_keys(const Task& task, const KeyBlock& block, const Buffers& b) const {
    const std::size_t own = d_ - shared_;
    for (std::size_t j = 0; j < block.count; ++j) {
      const std::size_t token = task.first + block.first + j;
      std::memcpy(g_.dk + token * a_.k_stride + task.head * a_.k_head, b.dkeys + j * d_,
                  own * sizeof(float));
      if (shared_ > 0) {
        std::memcpy(parts_ + (task.head * tokens_ + token) * shared_, b.dkeys + j * d_ + own,
                    shared_ * sizeof(float));
      }
      std::memcpy(g_.dv + token * a_.v_stride + task.head * a_.v_head, b.dvalues + j * v_,
                  v_ * sizeof(float));
    }
  }

  // Queries [tile, tile + kTile) of one head against a block of keys.
  void step(const Task& task, const KeyBlock& block, std::size_t head, std::size_t tile,
            const Buffers& b) const {
    const std::size_t rows = std::min(kTile, task.count - tile);
    for (std::size_t i = 0; i < rows; ++i) {
      const std::size_t query = (task.first + tile + i) * heads_ + head;
      std::memcpy(b.queries + i * d_, a_.q + query * d_, d_ * sizeof(float));
      std::memcpy(b.douts + i * v_, dout_ + query * v_, v_ * sizeof(float));
      b.lse[i] = lse_[query];
      b.delta[i] = delta_[query];
      b.valid[i] = static_cast<int>(std::min(block.count, tile + i + 1 - block.first));
    }
    if (narrow_) {
      narrow_products(task, block, head, tile, b);
    } else {
      wide_products(task, block, head, tile, b);
    }
  }

  // The gradients of a tile's queries, or null if the task does not make them; they begin with a
  // span's first keys.
  float* dq_of(const Task& task, std::size_t head, std::size_t tile) const {
    if (task.part == Part::keys) return nullptr;
    return g_.dq + ((task.first + tile) * heads_ + head) * d_;
  }

  void wide_products(const Task& task, const KeyBlock& block, std::size_t head, std::size_t tile,
                     const Buffers& b) const {
    const std::size_t rows = std::min(kTile, task.count - tile);
    const int m = static_cast<int>(rows), keys = static_cast<int>(block.count);
    const int panels = (keys + kPanelRows - 1) / kPanelRows;
    std::memset(b.p, 0, rows * kKeyBlock * sizeof(float));
    std::memset(b.ds, 0, rows * kKeyBlock * sizeof(float));
    kernels_.panels.multiply_f32({b.queries, d_}, {b.key_panels, kPanelRows * d_},
                                 {m, panels, a_.key_dims, kKeyBlock}, b.p);
    kernels_.panels.multiply_f32({b.douts, v_}, {b.value_panels, kPanelRows * v_},
                                 {m, panels, a_.value_dims, kKeyBlock}, b.ds);
    kernels_.gradients.softmax_block(b.p, b.ds, kKeyBlock, m, b.valid, a_.scale, b.lse, b.delta);
    const kernels::AttentionKernels& attention = kernels_.attention;
    if (float* dq = dq_of(task, head, tile)) {
      for (std::size_t i = 0; i < rows && block.first == 0; ++i)
        std::memset(dq + i * heads_ * d_, 0, d_ * sizeof(float));
      attention.mix(b.ds, kKeyBlock, m, b.ones, b.keys, d_, keys, a_.key_dims, dq, heads_ * d_);
    }
    if (task.part == Part::queries) return;
    kernels_.panels.transpose(b.p, kKeyBlock, m, keys, b.p_turned, kTile);
    kernels_.panels.transpose(b.ds, kKeyBlock, m, keys, b.ds_turned, kTile);
    attention.mix(b.p_turned, kTile, keys, b.ones, b.douts, v_, m, a_.value_dims, b.dvalues, v_);
    attention.mix(b.ds_turned, kTile, keys, b.ones, b.queries, d_, m, a_.key_dims, b.dkeys, d_);
  }

  // The same from operands in BF16.
  void narrow_products(const Task& task, const KeyBlock& block, std::size_t head, std::size_t tile,
                       const Buffers& b) const {
    const Narrow& n = b.narrow;
    const std::size_t rows = std::min(kTile, task.count - tile);
    const int m = static_cast<int>(rows), keys = static_cast<int>(block.count);
    const kernels::PanelKernels& table = kernels_.panels;
    const int panels = (keys + kPanelRows - 1) / kPanelRows;
    for (std::size_t i = 0; i < rows; ++i) {
      table.pack_bf16(b.queries + i * d_, a_.key_dims, n.queries + i * whole(d_));
      table.pack_bf16(b.douts + i * v_, a_.value_dims, n.douts + i * whole(v_));
    }
    const auto scores = [&](const bf16* x, const bf16* w, std::size_t length, float* y) {
      table.multiply_bf16({x, whole(length)}, {w, whole(length) * kPanelRows},
                          {m, panels, static_cast<int>(length), kKeyBlock, kernels::Onto::replaced},
                          y);
    };
    scores(n.queries, n.key_panels, d_, b.p);
    scores(n.douts, n.value_panels, v_, b.ds);
    kernels_.gradients.softmax_block(b.p, b.ds, kKeyBlock, m, b.valid, a_.scale, b.lse, b.delta);
    if (float* dq = dq_of(task, head, tile)) {
      for (std::size_t i = 0; i < rows; ++i)
        table.pack_bf16(b.ds + i * kKeyBlock, keys, n.ds + i * kKeyBlock);
      multiply_columns(n.ds, n.key_columns, {m, keys, d_}, dq, heads_ * d_, block.first == 0);
    }
    if (task.part == Part::queries) return;
    table.turn_to_bf16(b.p, kKeyBlock, m, keys, n.p_turned, kTile);
    table.turn_to_bf16(b.ds, kKeyBlock, m, keys, n.ds_turned, kTile);
    round_columns(b.douts, v_, m, n.dout_columns);
    round_columns(b.queries, d_, m, n.query_columns);
    multiply_columns(n.p_turned, n.dout_columns, {keys, m, v_}, b.dvalues, v_, false);
    multiply_columns(n.ds_turned, n.query_columns, {keys, m, d_}, b.dkeys, d_, false);
  }

  // A block's keys and values as panels of BF16.
  void round_keys(const KeyBlock& block, const Buffers& b) const {
    const kernels::PanelKernels& table = kernels_.panels;
    for (std::size_t j = 0; j < block.count; j += kPanelRows) {
      const int rows = static_cast<int>(std::min<std::size_t>(kPanelRows, block.count - j));
      table.interleave_bf16(b.keys + j * d_, d_, rows, a_.key_dims,
                            b.narrow.key_panels + j * whole(d_));
      table.interleave_bf16(b.values + j * v_, v_, rows, a_.value_dims,
                            b.narrow.value_panels + j * whole(v_));
    }
    round_columns(b.keys, d_, static_cast<int>(block.count), b.narrow.key_columns);
  }

  // Panels of the columns of x [rows, width], one of kTile rows after the other.
  void round_columns(const float* x, std::size_t width, int rows, bf16* panels) const {
    for (std::size_t c = 0; c < width; c += kPanelRows)
      kernels_.panels.columns_bf16(x + c, width, rows, kPanelRows, panels + c * kTile);
  }

  struct Shape {
    int rows, count;
    std::size_t width;
  };

  // y [rows, width] += (first: =) x [rows, count]·columns; rows of x are kTile long.
  void multiply_columns(const bf16* x, const bf16* columns, const Shape& shape, float* y,
                        std::size_t stride, bool first) const {
    constexpr std::size_t kWidest = std::size_t{kernels::kMaxPanels} * kPanelRows;
    for (std::size_t c = 0; c < shape.width; c += kWidest) {
      const int panels = static_cast<int>(std::min(kWidest, shape.width - c) / kPanelRows);
      kernels_.panels.multiply_bf16({x, kTile}, {columns + c * kTile, kTile * kPanelRows},
                                    {shape.rows, panels, shape.count, stride,
                                     first ? kernels::Onto::replaced : kernels::Onto::continued},
                                    y + c);
    }
  }

  // dshared = Σ of the heads' parts, ascending.
  void sum_shared_keys() const {
    const std::size_t length = tokens_ * shared_;
    backend_.pool_.parallel_for(
        static_cast<std::int64_t>(tokens_), 64, [&](std::int64_t begin, std::int64_t end, int) {
          const std::size_t first = static_cast<std::size_t>(begin) * shared_,
                            count = static_cast<std::size_t>(end - begin) * shared_;
          std::memcpy(g_.dshared + first, parts_ + first, count * sizeof(float));
          for (std::size_t h = 1; h < kv_heads(); ++h) {
            kernels_.rows.add(g_.dshared + first, parts_ + h * length + first,
                              static_cast<int>(count), g_.dshared + first);
          }
        });
  }

  CpuBackend& backend_;
  const kernels::Kernels& kernels_;
  const FreshAttention& a_;
  const float *out_, *lse_, *dout_;
  GradientBackend::AttentionGradients g_;
  std::size_t d_, v_, shared_, heads_, tokens_;
  bool narrow_;
  float *delta_ = nullptr, *parts_ = nullptr;
  std::vector<Task> tasks_;
  std::vector<std::size_t> shares_;
};

void CpuGradients::attend_fresh_gradient(const FreshAttention& a, const float* out,
                                         const float* lse, const float* dout,
                                         const AttentionGradients& g) {
  AttentionGradientRun(backend_, a, out, lse, dout, g).run();
}

}  // namespace nautile
