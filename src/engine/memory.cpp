// memory.cpp — what a model needs, what the machine has, and whether the one fits the other.
#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

#include "base/error.h"
#include "engine/batch_engine.h"
#include "engine/runner.h"
#include "engine/session.h"

namespace nautile::engine {
namespace {

// Floats of working memory per batch row in the widest block.
double floats_per_row(const ModelConfig& c) {
  const AttentionConfig& a = c.attention;
  const double H = a.heads, D = c.width;
  double attention = H * (a.key_dims() + a.value_dims) + a.kv_heads * (a.key_dims() + a.value_dims);
  if (a.kind == AttentionKind::mla) {
    attention = H * (a.key_dims() + a.value_dims) + 2.0 * a.query_rank + a.cached_values() +
                H * (2.0 * a.kv_rank + a.rope_dims);
  }
  double ffn = 3.0 * c.ffn_width;
  if (c.moe.route.experts > 0) {
    ffn = std::max(ffn, c.moe.route.chosen * (2 * D + 3.0 * c.moe.width) +
                            3.0 * c.moe.shared_width + 2.0 * c.moe.route.experts);
  }
  return 8 * D + attention + ffn;
}

// A number in a small text file such as /sys/fs/cgroup/memory.max; "max" and absence are no limit.
std::uint64_t limit_in(const char* path) {
  std::ifstream file(path);
  std::uint64_t value = 0;
  return file >> value ? value : std::numeric_limits<std::uint64_t>::max();
}

std::string gib(std::uint64_t bytes) {
  return fmt::format("{:.2f} GiB", static_cast<double>(bytes) / (1 << 30));
}

}  // namespace

MemoryNeed memory_need(const ModelConfig& config, std::uint64_t weight_bytes,
                       const SessionOptions& options) {
  const AttentionConfig& a = config.attention;
  const double rows = static_cast<double>(std::min(options.chunk, options.context));
  double scratch = rows * floats_per_row(config) + 64.0 * config.vocabulary;
  scratch += static_cast<double>(options.context) * a.rope_dims;  // cos and sin
  if (a.kind == AttentionKind::mla) {
    // Keys and values of some heads at a time, and the latents they come from.
    const double all =
        static_cast<double>(options.context) * a.heads * (a.key_dims() + a.value_dims);
    scratch += std::min(all, static_cast<double>(std::int64_t{64} << 20)) +
               static_cast<double>(options.context) * a.cached_values();
  }
  return {weight_bytes,
          static_cast<std::uint64_t>(options.context) *
              KvPages::bytes_per_token(config, options.kv_format),
          static_cast<std::uint64_t>(scratch * 4)};
}

void require_fit(const MemoryNeed& need, std::uint64_t available, const ModelConfig& config,
                 const SessionOptions& options) {
  if (need.total() <= available) return;
  const std::uint64_t fixed = need.weights + need.scratch;
  const std::uint64_t per_token =
      std::max<std::uint64_t>(1, KvPages::bytes_per_token(config, options.kv_format));
  const Error error = make_error(ErrorKind::no_memory,
                                 "the model does not fit in memory: weights {} + cache of {} "
                                 "tokens {} + working memory {} = {}, but {} are available",
                                 gib(need.weights), options.context, gib(need.kv),
                                 gib(need.scratch), gib(need.total()), gib(available));
  if (fixed < available)
    throw error.hint("a context of {} tokens fits (--ctx), or a Q8_0 cache (--kv q8_0)",
                     (available - fixed) / per_token);
  throw error.hint(
      "a more strongly quantized file, or a smaller model, is needed: {} are left for weights",
      gib(available > need.scratch ? available - need.scratch : 0));
}

namespace {

// What a session would need that had all of the cache's tokens to itself, and cut prompts into
// chunks of the row budget.
SessionOptions as_session(const BatchEngineOptions& options, std::int64_t tokens) {
  return {.context = tokens, .kv_format = options.kv_format, .chunk = options.row_budget};
}

}  // namespace

MemoryNeed memory_need(const ModelConfig& config, std::uint64_t weight_bytes,
                       const BatchEngineOptions& options) {
  const double rows = static_cast<double>(options.row_budget), W = config.vocabulary;
  double scratch = rows * floats_per_row(config) + static_cast<double>(Runner::kLogitRows) * W;
  scratch += static_cast<double>(options.context) * config.attention.rope_dims;  // cos and sin
  scratch += 8 * 3 * W;  // samplers of some threads
  return {weight_bytes,
          static_cast<std::uint64_t>(options.kv_tokens) *
              KvPages::bytes_per_token(config, options.kv_format),
          static_cast<std::uint64_t>(scratch * 4)};
}

BatchEngineOptions fit_memory(const ModelConfig& config, std::uint64_t weight_bytes,
                              BatchEngineOptions options, std::uint64_t available) {
  MemoryNeed need = memory_need(config, weight_bytes, options);
  const std::uint64_t per_token =
      std::max<std::uint64_t>(1, KvPages::bytes_per_token(config, options.kv_format));
  need.kv = static_cast<std::uint64_t>(options.context) * per_token;
  require_fit(need, available, config, as_session(options, options.context));
  const std::uint64_t left = (available - need.weights - need.scratch) / per_token;
  options.kv_tokens =
      static_cast<std::int64_t>(std::min(static_cast<std::uint64_t>(options.kv_tokens), left));
  return options;
}

std::uint64_t available_memory() {
  std::uint64_t available = std::numeric_limits<std::uint64_t>::max();
  std::ifstream info("/proc/meminfo");
  for (std::string line; std::getline(info, line);) {
    if (line.starts_with("MemAvailable:")) available = std::stoull(line.substr(13)) * 1024;
  }
  const std::uint64_t limit = limit_in("/sys/fs/cgroup/memory.max"),
                      used = limit_in("/sys/fs/cgroup/memory.current");
  if (limit != std::numeric_limits<std::uint64_t>::max() && used <= limit)
    available = std::min(available, limit - used);
  return available;
}

}  // namespace nautile::engine
