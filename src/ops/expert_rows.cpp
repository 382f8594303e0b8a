// expert_rows.cpp — rows on their way to experts in other processes, and back.
#include <algorithm>

#include "ops/expert_group.h"
#include "ops/ops.h"

namespace nautile::ops {
namespace {

std::vector<std::size_t> bytes_of(const std::vector<std::int64_t>& items, std::size_t each) {
  std::vector<std::size_t> bytes;
  for (const std::int64_t n : items) bytes.push_back(static_cast<std::size_t>(n) * each);
  return bytes;
}

// `to` [Σ given, D] from `from` [Σ sent, D]: rank after rank of the group.
void swap_rows(const ExpertGroup& group, Tensor from, const std::vector<std::int64_t>& sent,
               Tensor to, const std::vector<std::int64_t>& given) {
  const auto view = [](Tensor t) {
    return std::span(t.data, static_cast<std::size_t>(t.elements()));
  };
  const std::size_t row = static_cast<std::size_t>(from.cols()) * sizeof(float);
  group.comm.all_to_all(group.first, std::as_bytes(view(from)), bytes_of(sent, row),
                        std::as_writable_bytes(view(to)), bytes_of(given, row));
}

// Gradient of a result that nobody downstream may have used.
Tensor take_or_zero(Context& ctx, Gradients& gradients, Tensor value) {
  if (gradients.has(value)) return gradients.take(value);
  const Tensor zero = gradients.make(ctx, value.shape);
  std::fill_n(zero.data, zero.elements(), 0.0f);
  return zero;
}

// Rows that each rank has for each expert of this one: [size][own experts].
std::vector<std::int64_t> swap_counts(const ExpertGroup& group, const Dispatched& d) {
  std::vector<std::int64_t> mine(static_cast<std::size_t>(group.experts));
  for (std::size_t e = 0; e < mine.size(); ++e) mine[e] = d.begin[e + 1] - d.begin[e];
  std::vector<std::int64_t> send, receive;
  const int own = group.begin(group.index() + 1) - group.begin(group.index());
  for (int r = 0; r < group.size; ++r) {
    send.push_back(group.begin(r + 1) - group.begin(r));
    receive.push_back(own);
  }
  std::vector<std::int64_t> theirs(static_cast<std::size_t>(own * group.size));
  constexpr std::size_t kCount = sizeof(std::int64_t);
  group.comm.all_to_all(group.first, std::as_bytes(std::span(mine)), bytes_of(send, kCount),
                        std::as_writable_bytes(std::span(theirs)), bytes_of(receive, kCount));
  return theirs;
}

}  // namespace

// rows = what all ranks of the group have for this one's experts;  d(d.rows) = the way back of
// drows
ExpertRows to_experts(Context& ctx, const Dispatched& d) {
  ExpertRows to;
  if (!ctx.experts) {
    to.rows = d.rows;
    for (std::size_t e = 0; e + 1 < d.begin.size(); ++e) {
      const std::int64_t count = d.begin[e + 1] - d.begin[e];
      if (count > 0) to.parts.push_back({static_cast<int>(e), d.begin[e], count});
    }
    return to;
  }
  const ExpertGroup& group = *ctx.experts;
  NAUTILE_CHECK(d.begin.size() == static_cast<std::size_t>(group.experts) + 1,
                "to_experts: {} experts, the group has {}", d.begin.size() - 1, group.experts);
  const std::vector<std::int64_t> counts = swap_counts(group, d);
  const int first = group.begin(group.index()), own = group.begin(group.index() + 1) - first;
  std::int64_t rows = 0;
  for (int r = 0; r < group.size; ++r) {
    to.sent.push_back(d.begin[static_cast<std::size_t>(group.begin(r + 1))] -
                      d.begin[static_cast<std::size_t>(group.begin(r))]);
    const std::int64_t before = rows;
    for (int e = 0; e < own; ++e) {
      const std::int64_t count = counts[static_cast<std::size_t>(r * own + e)];
      if (count > 0) to.parts.push_back({first + e, rows, count, group.source_of(r)});
      rows += count;
    }
    to.given.push_back(rows - before);
  }
  to.rows = make_tensor(ctx.scratch, {rows, d.rows.cols()});
  swap_rows(group, d.rows, to.sent, to.rows, to.given);
  if (!ctx.tape) return to;
  to.rows = ctx.tape->name(to.rows);
  ctx.tape->record(
      {to.rows},
      [from = d.rows, rows = to.rows, sent = to.sent, given = to.given](Context& back,
                                                                        Gradients& gradients) {
        const Tensor drows = take_or_zero(back, gradients, rows),
                     dfrom = gradients.make(back, from.shape);
        swap_rows(*back.experts, drows, given, dfrom, sent);
        gradients.release(drows);
        gradients.give(back, from, dfrom);
      },
      Tape::Run::always);
  return to;
}

// y = the rows back where they came from;  drows = what the other ranks have of dy for them
Tensor from_experts(Context& ctx, Tensor rows, const ExpertRows& where, const Dispatched& d) {
  if (!ctx.experts) return rows;
  NAUTILE_CHECK(rows.rows() == where.rows.rows(), "from_experts: {} of {} rows", rows.shape,
                where.rows.rows());
  Tensor y = make_tensor(ctx.scratch, {d.rows.rows(), rows.cols()});
  swap_rows(*ctx.experts, rows, where.given, y, where.sent);
  if (!ctx.tape) return y;
  y = ctx.tape->name(y);
  ctx.tape->record(
      {y},
      [rows, y, sent = where.sent, given = where.given](Context& back, Gradients& gradients) {
        const Tensor dy = take_or_zero(back, gradients, y),
                     drows = gradients.make(back, rows.shape);
        swap_rows(*back.experts, dy, sent, drows, given);
        gradients.release(dy);
        gradients.give(back, rows, drows);
      },
      Tape::Run::always);
  return y;
}

}  // namespace nautile::ops
