// kv_rows.cpp — where the cached rows of a batch lie: in pages, or fresh in scratch.
#include "model/attention.h"

namespace nautile {
namespace {

std::size_t bytes_per_row(Format format, int values) {
  const int block = info(format).block;
  NAUTILE_CHECK(
      values % block == 0,
      "a cache of format {} stores {} values at a time; this model has {} per token and layer",
      info(format).name, block, values);
  return row_bytes(format, static_cast<std::size_t>(values));
}

std::size_t index(std::int64_t i) {
  return static_cast<std::size_t>(i);
}

}  // namespace

LayerKv layer_kv(Context& ctx, const Batch& batch, int layer, int values, Format fresh_format) {
  LayerKv kv{.format = batch.kv ? batch.kv->format : fresh_format, .own = {}, .sequence = {}};
  const std::size_t bytes = bytes_per_row(kv.format, values);
  kv.own.resize(index(batch.rows()));
  if (!batch.kv) {
    // The pages' addresses live in scratch with the rows.
    std::byte* rows = ctx.scratch.allocate(index(batch.rows()) * bytes);
    std::byte** pages = ctx.scratch.array<std::byte*>(index(batch.spans()));
    for (std::int64_t s = 0; s < batch.spans(); ++s) {
      pages[s] = rows + index(batch.starts[index(s)]) * bytes;
      const std::int64_t count = batch.starts[index(s + 1)] - batch.starts[index(s)];
      kv.sequence.push_back({pages + s, std::max<std::int64_t>(count, 1), 0, bytes});
    }
    for (std::size_t t = 0; t < kv.own.size(); ++t) kv.own[t] = rows + t * bytes;
    return kv;
  }
  const KvView& view = *batch.kv;
  for (std::int64_t s = 0; s < batch.spans(); ++s) {
    const std::vector<std::byte*>& pages = view.pages[index(s)];
    const std::size_t offset = view.layer_offset[index(layer)];
    kv.sequence.push_back({pages.data(), view.page_tokens, offset, bytes});
    for (std::int32_t t = batch.starts[index(s)]; t < batch.starts[index(s + 1)]; ++t) {
      const std::int64_t position = batch.positions[index(t)];
      NAUTILE_ASSERT(position / view.page_tokens < static_cast<std::int64_t>(pages.size()),
                     "position {} has no page", position);
      kv.own[index(t)] = pages[index(position / view.page_tokens)] + offset +
                         index(position % view.page_tokens) * bytes;
    }
  }
  return kv;
}

}  // namespace nautile
