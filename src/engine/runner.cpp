#include "engine/runner.h"

#include <algorithm>

namespace nautile::engine {

Runner::Runner(const Model& model, Backend& backend, const KvPages& pages,
               std::uint64_t scratch_bytes)
    : model_(model),
      pages_(pages),
      // Address space only; pages are committed as they are touched.
      scratch_(static_cast<std::size_t>(2 * scratch_bytes) + (std::size_t{256} << 20)),
      ctx_{backend, scratch_},
      view_(pages.view({})) {}

Tensor Runner::run(std::span<const RunnerSpan> spans) {
  scratch_.rewind(0);
  tokens_.clear();
  positions_.clear();
  starts_.assign(1, 0);
  held_.clear();
  for (const RunnerSpan& span : spans) {
    tokens_.insert(tokens_.end(), span.tokens.begin(), span.tokens.end());
    for (std::size_t i = 0; i < span.tokens.size(); ++i)
      positions_.push_back(static_cast<std::int32_t>(span.position) + static_cast<std::int32_t>(i));
    starts_.push_back(static_cast<std::int32_t>(tokens_.size()));
    held_.push_back(span.pages);
  }
  pages_.view(held_, view_);
  return model_.hidden(ctx_, {tokens_, positions_, starts_, &view_});
}

void Runner::logits(Tensor hidden, std::span<const std::int64_t> rows, const Logits& body) {
  for (std::size_t first = 0; first < rows.size(); first += kLogitRows) {
    Arena::Scope scope(scratch_);
    const std::size_t count = std::min<std::size_t>(kLogitRows, rows.size() - first);
    const Tensor gathered =
        make_tensor(scratch_, {static_cast<std::int64_t>(count), hidden.cols()});
    for (std::size_t i = 0; i < count; ++i) {
      std::copy_n(hidden.row(rows[first + i]), hidden.cols(),
                  gathered.row(static_cast<std::int64_t>(i)));
    }
    body(first, model_.logits(ctx_, gathered));
  }
}

Tensor Runner::normed(Tensor hidden, std::int64_t first, std::int64_t count) {
  return model_.final_norm(ctx_, Tensor{hidden.row(first), {count, hidden.cols()}});
}

}  // namespace nautile::engine
