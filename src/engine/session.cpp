#include "engine/session.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"

namespace nautile::engine {
namespace {

// Rows of logits made at a time: 64 rows of 129,280 are 33 MB.
constexpr std::int64_t kLogitRows = 64;

}  // namespace

Session::Session(const Model& model, Backend& backend, const SessionOptions& options)
    : model_(model),
      options_(options),
      // Address space only; pages are committed as they are touched.
      scratch_(2 * memory_need(model.config(), 0, options).scratch + (std::size_t{256} << 20)),
      ctx_{backend, scratch_, nullptr, options.experts},
      pages_(model.config(), options.kv_format, options.context),
      logits_(static_cast<std::size_t>(model.config().vocabulary)) {
  NAUTILE_CHECK(options.context >= 1 && options.chunk >= 1,
                "context {} and chunk {} must be positive", options.context, options.chunk);
  NAUTILE_CHECK(options.context <= model.options().context,
                "a context of {} tokens exceeds the {} the model was set up for", options.context,
                model.options().context);
}

void Session::make_room(std::int64_t tokens) {
  if (size() + tokens > options_.context) {
    throw make_error(ErrorKind::usage,
                     "the context is full: {} tokens are there and {} more do not fit into {}",
                     size(), tokens, options_.context)
        .hint("start with a larger --ctx (the model was made for {})", model_.config().context);
  }
  const std::int64_t pages = (size() + tokens + KvPages::kPageTokens - 1) / KvPages::kPageTokens;
  while (static_cast<std::int64_t>(held_.size()) < pages) {
    held_.push_back(pages_.take());
    NAUTILE_ASSERT(held_.back() >= 0, "no page for {} tokens", size() + tokens);
  }
}

Tensor Session::step(std::span<const std::int32_t> tokens) {
  std::vector<std::int32_t> positions(tokens.size());
  std::iota(positions.begin(), positions.end(), static_cast<std::int32_t>(size()));
  const std::int32_t starts[] = {0, static_cast<std::int32_t>(tokens.size())};
  const std::span<const std::int32_t> held = held_;
  const KvView view = pages_.view({&held, 1});
  const Tensor hidden = model_.hidden(ctx_, {tokens, positions, starts, &view});
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  return hidden;
}

std::span<const float> Session::append(std::span<const std::int32_t> tokens,
                                       const Progress& progress) {
  NAUTILE_CHECK(!tokens.empty(), "nothing to append");
  make_room(static_cast<std::int64_t>(tokens.size()));
  const std::size_t chunk = static_cast<std::size_t>(options_.chunk);
  for (std::size_t done = 0; done < tokens.size();) {
    Arena::Scope scope(scratch_);
    const std::size_t count = std::min(chunk, tokens.size() - done);
    const Tensor hidden = step(tokens.subspan(done, count));
    done += count;
    if (done == tokens.size()) {
      const Tensor logits =
          model_.logits(ctx_, Tensor{hidden.row(hidden.rows() - 1), {1, hidden.cols()}});
      std::copy_n(logits.data, logits.elements(), logits_.begin());
    }
    if (progress && progress(static_cast<std::int64_t>(done),
                             static_cast<std::int64_t>(tokens.size())) == Go::stop)
      return {};
  }
  // A prompt's chunks take megabytes that the answer's single tokens do not need.
  if (tokens.size() > 1) scratch_.release_unused();
  return logits_;
}

void Session::append_all(std::span<const std::int32_t> tokens, const Rows& rows) {
  make_room(static_cast<std::int64_t>(tokens.size()));
  const std::size_t chunk = static_cast<std::size_t>(options_.chunk);
  for (std::size_t done = 0; done < tokens.size(); done += chunk) {
    Arena::Scope scope(scratch_);
    const Tensor hidden = step(tokens.subspan(done, std::min(chunk, tokens.size() - done)));
    for (std::int64_t row = 0; row < hidden.rows(); row += kLogitRows) {
      Arena::Scope part(scratch_);
      const std::int64_t count = std::min(kLogitRows, hidden.rows() - row);
      rows(static_cast<std::int64_t>(done) + row,
           model_.logits(ctx_, Tensor{hidden.row(row), {count, hidden.cols()}}));
    }
  }
}

void Session::truncate(std::int64_t size) {
  NAUTILE_ASSERT(size >= 0 && size <= this->size(), "truncate {} tokens to {}", this->size(), size);
  tokens_.resize(static_cast<std::size_t>(size));
  const std::int64_t pages = (size + KvPages::kPageTokens - 1) / KvPages::kPageTokens;
  while (static_cast<std::int64_t>(held_.size()) > pages) {
    pages_.release(held_.back());
    held_.pop_back();
  }
}

}  // namespace nautile::engine
