#include "server/ops_endpoints.h"

#include <fmt/format.h>

namespace nautile::server {
namespace {

struct CountRow {
  const char* name;
  MetricType type;
  const char* help;
  double (*value)(const engine::EngineCounts&);
};

template <auto Member>
double member(const engine::EngineCounts& counts) {
  return static_cast<double>(counts.*Member);
}

using Counts = engine::EngineCounts;
constexpr MetricType kGauge = MetricType::gauge;
constexpr MetricType kCounter = MetricType::counter;

constexpr CountRow kRows[] = {
    {"nautile_engine_waiting", kGauge, "Choices that wait.", member<&Counts::waiting>},
    {"nautile_engine_running", kGauge, "Choices that are computed.", member<&Counts::running>},
    {"nautile_kv_pages", kGauge, "Pages of the cache.", member<&Counts::pages>},
    {"nautile_kv_pages_used", kGauge, "Pages that requests hold.", member<&Counts::pages_used>},
    {"nautile_kv_pages_cached", kGauge, "Pages kept for prefixes that come again.",
     member<&Counts::pages_cached>},
    {"nautile_tokens_per_second", kGauge, "Tokens generated, over the last ten seconds.",
     member<&Counts::tokens_per_second>},
    {"nautile_disk_cache_bytes", kGauge, "Size of the cache on disk.", member<&Counts::disk_bytes>},
    {"nautile_batch_rows_max", kGauge, "Rows of the largest batch.", member<&Counts::most_rows>},
    {"nautile_batch_decode_rows_max", kGauge, "Rows that decoded in one batch, at most.",
     member<&Counts::most_decode_rows>},
    {"nautile_engine_requests_total", kCounter, "Requests admitted.", member<&Counts::requests>},
    {"nautile_engine_finished_total", kCounter, "Requests that ended by themselves.",
     member<&Counts::finished>},
    {"nautile_engine_cancelled_total", kCounter, "Requests given up by their clients.",
     member<&Counts::cancelled>},
    {"nautile_engine_failed_total", kCounter, "Requests that failed.", member<&Counts::failed>},
    {"nautile_engine_refused_total", kCounter, "Requests refused for want of room.",
     member<&Counts::refused>},
    {"nautile_engine_preempted_total", kCounter, "Choices set back and computed again.",
     member<&Counts::preempted>},
    {"nautile_prompt_tokens_total", kCounter, "Tokens of prompts.", member<&Counts::prompt_tokens>},
    {"nautile_cached_tokens_total", kCounter, "Tokens of prompts taken from the cache.",
     member<&Counts::cached_tokens>},
    {"nautile_completion_tokens_total", kCounter, "Tokens generated.",
     member<&Counts::completion_tokens>},
    {"nautile_disk_cache_hits_total", kCounter, "Pages read back from disk.",
     member<&Counts::disk_hits>},
    {"nautile_engine_steps_total", kCounter, "Batches computed.", member<&Counts::steps>},
    {"nautile_engine_rows_total", kCounter, "Rows of all batches.", member<&Counts::rows>},
    {"nautile_engine_decode_rows_total", kCounter, "Rows that decoded.",
     member<&Counts::decode_rows>},
    {"nautile_engine_busy_seconds_total", kCounter, "Time spent in batches.",
     member<&Counts::busy_seconds>},
};

}  // namespace

void append_engine_metrics(std::string& text, const std::vector<NamedCounts>& engines) {
  if (engines.empty()) return;
  for (const CountRow& row : kRows) {
    std::vector<MetricValue> values;
    for (const NamedCounts& engine : engines) {
      values.push_back({{{"model", engine.model}}, row.value(engine.counts)});
    }
    append_metric(text, row.name, row.type, row.help, values);
  }
}

std::vector<Endpoint> ops_endpoints(Metrics& metrics, OpsSources sources) {
  Endpoint health{"GET", "/health", {}, Access::open};
  health.handler = [state = std::move(sources.state)](const HttpRequest&,
                                                      const std::shared_ptr<HttpReply>& reply) {
    const std::string now = state();
    Headers headers = {{"Cache-Control", "no-store"}};
    if (now != "ok") headers.emplace_back("Retry-After", "5");
    reply->send(now == "ok" ? 200 : 503, "application/json",
                fmt::format("{{\"status\":\"{}\"}}\n", now), std::move(headers));
  };
  Endpoint numbers{"GET", "/metrics"};
  numbers.handler = [&metrics, gauges = std::move(sources.gauges)](
                        const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
    std::string text = metrics.text();
    gauges(text);
    reply->send(200, "text/plain; version=0.0.4; charset=utf-8", std::move(text),
                {{"Cache-Control", "no-store"}});
  };
  return {std::move(health), std::move(numbers)};
}

}  // namespace nautile::server
