// cpu_attention.cpp — attention over cached rows on the CPU.
//
// A task is one key head with a tile of the query rows that share it. It walks the keys in blocks
// of kKeyBlock, cut by absolute position, in ascending order: unpack keys to a panel, scores, one
// step of the online softmax, mix the values. A query's numbers depend only on its own row and the
// keys.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "backend/cpu_backend.h"

namespace nautile {
namespace {

using kernels::kKeyBlock;
using kernels::kPanelRows;

constexpr std::int64_t kTileRows = 96;  // query rows that share one unpacked block of keys

struct Task {
  const QuerySpan* span;
  int head;            // key head
  std::int64_t begin;  // rows of the span: token-major, then the query heads of the group
  std::int64_t end;
};

}  // namespace

class AttentionRun {
 public:
  AttentionRun(CpuBackend& backend, const float* q, const AttendShape& shape, float* out)
      : backend_(backend),
        kernels_(backend.kernels_),
        q_(q),
        shape_(shape),
        out_(out),
        group_(shape.query_heads / shape.kv_heads) {}

  // What attend_fresh() has besides: the end of every key, shared by the heads, and lse or null.
  AttentionRun(CpuBackend& backend, const FreshAttention& a, const AttendShape& shape, float* out,
               float* lse)
      : AttentionRun(backend, a.q, shape, out) {
    shared_key_ = a.shared_key;
    shared_dims_ = a.shared_key ? a.shared_dims : 0;
    lse_ = lse;
  }

  void run(std::span<const QuerySpan> spans) {
    make_tasks(spans);
    share_tasks();
    backend_.pool_.run([this](int thread) {
      const std::size_t at = static_cast<std::size_t>(thread);
      for (std::size_t i = shares_[at]; i < shares_[at + 1]; ++i)
        attend(tasks_[i], backend_.workspaces_[at]);
    });
  }

 private:
  // Small tiles when there are too few to go round; they cost extra unpacking and no bit.
  void make_tasks(std::span<const QuerySpan> spans) {
    std::int64_t rows = 0;
    for (const QuerySpan& span : spans) rows += span.count * group_ * shape_.kv_heads;
    const std::int64_t fair = (rows + backend_.threads() - 1) / backend_.threads();
    const std::int64_t tile = std::clamp<std::int64_t>(fair, 1, kTileRows);
    for (const QuerySpan& span : spans) {
      for (int head = 0; head < shape_.kv_heads; ++head) {
        const std::int64_t total = span.count * group_;
        for (std::int64_t begin = 0; begin < total; begin += tile) {
          tasks_.push_back({&span, head, begin, std::min(total, begin + tile)});
        }
      }
    }
  }

  double cost(const Task& task) const {
    const std::int64_t keys = task.span->position + task.end / group_ + 1;
    return static_cast<double>(keys) * static_cast<double>(task.end - task.begin + 8);
  }

  void share_tasks() {
    double total = 0, before = 0;
    for (const Task& task : tasks_) total += cost(task);
    const int threads = backend_.threads();
    shares_.assign(static_cast<std::size_t>(threads) + 1, tasks_.size());
    shares_[0] = 0;
    int next = 1;
    for (std::size_t i = 0; i < tasks_.size(); ++i) {
      const double mine = cost(tasks_[i]);
      while (next < threads && before + mine / 2 >= total * next / threads)
        shares_[static_cast<std::size_t>(next++)] = i;
      before += mine;
    }
  }

  struct Buffers {
    float *q, *keys, *panels, *values, *scores, *mixed, *max, *sum, *factor;
    int* valid;
  };

  Buffers make_buffers(Workspace& workspace) const {
    const std::size_t d = static_cast<std::size_t>(shape_.key_dims),
                      v = static_cast<std::size_t>(shape_.value_dims);
    const std::size_t rows = static_cast<std::size_t>(kTileRows), block = kKeyBlock;
    const std::size_t v_pad = (v + 31) / 32 * 32, d_pad = (d + 31) / 32 * 32;
    const std::size_t floats = rows * d + block * d_pad * 2 + block * v_pad + rows * block +
                               rows * v + rows * 3 + rows + 16 * 16;
    float* at = reinterpret_cast<float*>(workspace.reserve(floats * sizeof(float)));
    const auto take = [&at](std::size_t n) { return std::exchange(at, at + (n + 15) / 16 * 16); };
    Buffers b{};
    b.panels = take(block * d_pad);
    b.keys = take(block * d_pad);
    b.values = take(block * v_pad);
    b.scores = take(rows * block);
    b.q = take(rows * d);
    b.mixed = take(rows * v);
    b.max = take(rows);
    b.sum = take(rows);
    b.factor = take(rows);
    b.valid = reinterpret_cast<int*>(take(rows));
    return b;
  }

  const float* query(const Task& task, std::int64_t row) const {
    const std::int64_t token = task.span->first + row / group_,
                       head = task.head * group_ + row % group_;
    return q_ + (token * shape_.query_heads + head) * shape_.key_dims;
  }

  void attend(const Task& task, Workspace& workspace) const {
    const Buffers b = make_buffers(workspace);
    const std::size_t d = static_cast<std::size_t>(shape_.key_dims),
                      v = static_cast<std::size_t>(shape_.value_dims);
    const std::int64_t rows = task.end - task.begin;
    for (std::int64_t i = 0; i < rows; ++i) {
      std::memcpy(b.q + static_cast<std::size_t>(i) * d, query(task, task.begin + i),
                  d * sizeof(float));
    }
    std::fill(b.mixed, b.mixed + static_cast<std::size_t>(rows) * v, 0.0f);
    std::fill(b.max, b.max + rows, -std::numeric_limits<float>::infinity());
    std::fill(b.sum, b.sum + rows, 0.0f);
    const std::int64_t last =
        task.span->position + (task.end - 1) / group_;  // last key anyone sees
    for (std::int64_t first = 0; first <= last; first += kKeyBlock) {
      step(task, first, static_cast<int>(std::min<std::int64_t>(kKeyBlock, last + 1 - first)), b);
    }
    for (std::int64_t i = 0; i < rows; ++i) {
      const std::int64_t row = task.begin + i;
      const std::int64_t token = task.span->first + row / group_,
                         head = task.head * group_ + row % group_;
      float* out = out_ + (token * shape_.query_heads + head) * shape_.value_dims;
      const float inverse = 1.0f / b.sum[i];
      kernels_.gradients.scale(b.mixed + static_cast<std::size_t>(i) * v, inverse,
                               shape_.value_dims, out);
      if (lse_) lse_[token * shape_.query_heads + head] = b.max[i] + std::log(b.sum[i]);
    }
  }

  // Keys [first, first + count) for all rows of the task.
  void step(const Task& task, std::int64_t first, int count, const Buffers& b) const {
    const int d = shape_.key_dims, v = shape_.value_dims;
    const int rows = static_cast<int>(task.end - task.begin);
    int from = rows;  // rows before it see none of these keys
    for (int i = 0; i < rows; ++i) {
      const std::int64_t seen = task.span->position + (task.begin + i) / group_ + 1 - first;
      b.valid[i] = static_cast<int>(std::clamp<std::int64_t>(seen, 0, count));
      if (b.valid[i] > 0) from = std::min(from, i);
    }
    if (from == rows) return;
    const int active = rows - from;
    float* scores = b.scores + from * kKeyBlock;
    std::memset(scores, 0, static_cast<std::size_t>(active * kKeyBlock) * sizeof(float));
    score(task, first, count, {b.q + from * d, static_cast<std::size_t>(d)}, active, b, scores);
    kernels_.attention.softmax_block(scores, kKeyBlock, active, b.valid + from, shape_.scale,
                                     b.max + from, b.sum + from, b.factor + from);
    const std::byte* value = row_at(task.span->values, first, task.head, shape_.value_head_bytes);
    const std::size_t width = static_cast<std::size_t>(v);
    if (shape_.value_format == Format::bf16 && together(task.span->values, first, count)) {
      kernels_.attention.mix_bf16(
          scores, kKeyBlock, active, b.factor + from, reinterpret_cast<const bf16*>(value),
          task.span->values.row_bytes / 2, count, v, b.mixed + from * v, width);
      return;
    }
    if (shape_.value_format == Format::f32 && together(task.span->values, first, count)) {
      kernels_.attention.mix(scores, kKeyBlock, active, b.factor + from,
                             reinterpret_cast<const float*>(value), task.span->values.row_bytes / 4,
                             count, v, b.mixed + from * v, width);
      return;
    }
    for (int j = 0; j < count; ++j) {
      kernels_.format(shape_.value_format)
          .f32(row_at(task.span->values, first + j, task.head, shape_.value_head_bytes), v,
               b.values + j * v);
    }
    kernels_.attention.mix(scores, kKeyBlock, active, b.factor + from, b.values, width, count, v,
                           b.mixed + from * v, width);
  }

  static const std::byte* row_at(const KvRows& rows, std::int64_t position, int head,
                                 std::size_t head_bytes) {
    return rows.row(position) + static_cast<std::size_t>(head) * head_bytes;
  }
  // Whether `count` rows from `first` lie in one page, one behind the other.
  static bool together(const KvRows& rows, std::int64_t first, int count) {
    return first % rows.page_tokens + count <= rows.page_tokens;
  }

  // scores += q · keysᵀ for keys [first, first + count). BF16 keys go to the panel as they lie;
  // both ways give the same bits.
  void score(const Task& task, std::int64_t first, int count, const kernels::F32Input& q,
             int active, const Buffers& b, float* scores) const {
    const int d = shape_.key_dims, panels = (count + kPanelRows - 1) / kPanelRows;
    const std::size_t panel = static_cast<std::size_t>((d + 31) / 32 * 32) * kPanelRows;
    const kernels::TileShape tile{active, panels, d, static_cast<std::size_t>(kKeyBlock)};
    const KvRows& keys = task.span->keys;
    const auto in_panel = [&](int p) { return std::min(kPanelRows, count - p * kPanelRows); };
    if (shape_.key_format == Format::bf16 && d % 2 == 0 && together(keys, first, count)) {
      bf16* halves = reinterpret_cast<bf16*>(b.panels);
      for (int p = 0; p < panels; ++p) {
        const std::byte* rows =
            row_at(keys, first + p * kPanelRows, task.head, shape_.key_head_bytes);
        kernels_.panels.interleave_bf16_rows(reinterpret_cast<const bf16*>(rows),
                                             keys.row_bytes / 2, in_panel(p), d,
                                             halves + static_cast<std::size_t>(p) * panel);
      }
      kernels_.panels.multiply_f32_bf16(q, {halves, panel}, tile, scores);
      return;
    }
    const int own = d - shared_dims_;
    for (int j = 0; j < count; ++j) {
      kernels_.format(shape_.key_format)
          .f32(row_at(keys, first + j, task.head, shape_.key_head_bytes), own, b.keys + j * d);
      if (shared_dims_ == 0) continue;
      std::memcpy(b.keys + j * d + own, shared_key_ + (task.span->first + first + j) * shared_dims_,
                  static_cast<std::size_t>(shared_dims_) * sizeof(float));
    }
    for (int p = 0; p < panels; ++p) {
      kernels_.panels.interleave_f32(b.keys + p * kPanelRows * d, static_cast<std::size_t>(d),
                                     in_panel(p), d,
                                     b.panels + static_cast<std::size_t>(p) * panel);
    }
    kernels_.panels.multiply_f32(q, {b.panels, panel}, tile, scores);
  }

  CpuBackend& backend_;
  const kernels::Kernels& kernels_;
  const float* q_;
  AttendShape shape_;
  float* out_;
  std::int64_t group_;
  const float* shared_key_ = nullptr;
  int shared_dims_ = 0;
  float* lse_ = nullptr;
  std::vector<Task> tasks_;
  std::vector<std::size_t> shares_;
};

void CpuBackend::attend(const float* q, std::span<const QuerySpan> spans, const AttendShape& shape,
                        float* out) {
  AttentionRun(*this, q, shape, out).run(spans);
}

void CpuBackend::attend_fresh(const FreshAttention& a, float* out, float* lse) {
  const AttendShape shape{.query_heads = a.query_heads,
                          .kv_heads = a.kv_heads,
                          .key_dims = a.key_dims,
                          .value_dims = a.value_dims,
                          .key_format = Format::f32,
                          .value_format = Format::f32,
                          .key_head_bytes = a.k_head * sizeof(float),
                          .value_head_bytes = a.v_head * sizeof(float),
                          .scale = a.scale};
  // A span's rows are one page, as they lie in the tensors.
  const std::size_t count = a.starts.empty() ? 0 : a.starts.size() - 1;
  std::vector<const std::byte*> pages(2 * count);
  std::vector<QuerySpan> spans;
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t first = a.starts[i], tokens = a.starts[i + 1] - first;
    if (tokens == 0) continue;
    const std::size_t row = static_cast<std::size_t>(first);
    pages[2 * i] = reinterpret_cast<const std::byte*>(a.k + row * a.k_stride);
    pages[2 * i + 1] = reinterpret_cast<const std::byte*>(a.v + row * a.v_stride);
    spans.push_back({first,
                     tokens,
                     0,
                     {&pages[2 * i], tokens, 0, a.k_stride * sizeof(float)},
                     {&pages[2 * i + 1], tokens, 0, a.v_stride * sizeof(float)}});
  }
  AttentionRun(*this, a, shape, out, lse).run(spans);
}

}  // namespace nautile
