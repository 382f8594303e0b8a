#include "app/serve_endpoints.h"

#include <unistd.h>

#include <cmath>
#include <fstream>

#include "server/page_files.h"
#include "server/routes.h"

namespace nautile::app {
namespace {

using server::Endpoint;
using server::HttpReply;
using server::HttpRequest;
using server::Labels;
using server::RequestRecord;

double milliseconds(double seconds) {
  return seconds < 0 ? -1 : std::round(seconds * 1e4) / 10;
}

// One line in the log for each request of the APIs, and its tokens into the metrics.
class RequestMeter : public server::Meter {
 public:
  RequestMeter(server::Metrics& metrics, server::JsonLog& log) : metrics_(metrics), log_(log) {}

  void ended(const RequestRecord& record) override {
    nlohmann::ordered_json line = {{"id", record.id},         {"key", record.key},
                                   {"route", record.route},   {"model", record.model},
                                   {"status", record.status}, {"ms", milliseconds(record.seconds)}};
    if (record.first_token >= 0) line["first_token_ms"] = milliseconds(record.first_token);
    line["prompt_tokens"] = record.prompt_tokens;
    line["cached_tokens"] = record.cached_tokens;
    line["completion_tokens"] = record.completion_tokens;
    line["streamed"] = record.streamed;
    if (record.client_gone) line["client_gone"] = true;
    if (!record.error.empty()) line["error"] = record.error;
    log_.write("request", line);
    count(record, "prompt", record.prompt_tokens - record.cached_tokens);
    count(record, "cached", record.cached_tokens);
    count(record, "completion", record.completion_tokens);
  }

 private:
  void count(const RequestRecord& record, const char* kind, std::int64_t tokens) {
    if (tokens <= 0) return;
    metrics_.count("nautile_api_tokens_total", "Tokens, by API key.",
                   {{"key", record.key}, {"model", record.model}, {"kind", kind}},
                   static_cast<double>(tokens));
  }

  server::Metrics& metrics_;
  server::JsonLog& log_;
};

const char* phase_name(ServeState::Phase phase) {
  switch (phase) {
    case ServeState::Phase::loading:
      return "loading";
    case ServeState::Phase::ok:
      return "ok";
    case ServeState::Phase::draining:
      return "draining";
  }
  return "";
}

Endpoint page_endpoint(const server::PageFile& file) {
  Endpoint endpoint{"GET", std::string(file.path), {}, server::Access::open};
  endpoint.handler = [&file](const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
    const server::PageForm form = page_form(file, request.header("accept-encoding"));
    server::Headers headers = page_headers(file, form);
    if (page_is_known(file, form, request.header("if-none-match"))) {
      reply->send(304, "", "", std::move(headers));
      return;
    }
    reply->send(200, file.content_type, page_bytes(file, form), std::move(headers));
  };
  return endpoint;
}

Endpoint api_endpoint(const server::Route& route) {
  Endpoint endpoint{route.method, route.path, route.handler};
  // Ollama's own examples name no type.
  if (route.method == "POST" && !route.path.starts_with("/api/")) {
    endpoint.body = server::BodyType::json;
  }
  endpoint.log = Endpoint::Log::handler;
  return endpoint;
}

server::ApiOptions with_version(server::ApiOptions options) {
  options.version = NAUTILE_VERSION;
  return options;
}

// What of this process lies in RAM, in bytes; 0 where the kernel does not say. proc(5): the second
// number of statm counts pages.
double resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::int64_t all = 0, resident = 0;
  statm >> all >> resident;
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

}  // namespace

struct ServeEndpoints::Impl {
  Impl(ServedModels& all, server::Metrics& numbers, server::JsonLog& log, ServeState& now,
       const server::ApiOptions& options)
      : models(all), metrics(numbers), state(now), meter(numbers, log), api(all, options, meter) {}

  ServedModels& models;
  server::Metrics& metrics;
  ServeState& state;
  RequestMeter meter;
  server::Api api;
  std::atomic<const server::HttpServer*> http{nullptr};

  void gauges(std::string& text) const {
    models.append_metrics(text);
    server::append_metric(text, "process_resident_memory_bytes", server::MetricType::gauge,
                          "Memory of this process that lies in RAM.", {{{}, resident_bytes()}});
    if (const server::HttpServer* server = http) {
      const auto counts = server->counts();
      server::append_metric(text, "nautile_http_connections", server::MetricType::gauge,
                            "Connections that are open.",
                            {{{}, static_cast<double>(counts.connections)}});
      server::append_metric(text, "nautile_http_answering", server::MetricType::gauge,
                            "Requests that are being answered.",
                            {{{}, static_cast<double>(counts.answering)}});
    }
  }
};

ServeEndpoints::ServeEndpoints(ServedModels& models, server::Metrics& metrics, server::JsonLog& log,
                               ServeState& state, const server::ApiOptions& options)
    : impl_(std::make_unique<Impl>(models, metrics, log, state, with_version(options))) {}

ServeEndpoints::~ServeEndpoints() = default;

std::vector<Endpoint> ServeEndpoints::list(PageShown page) {
  Impl& impl = *impl_;
  std::vector<Endpoint> all = server::ops_endpoints(
      impl.metrics, {[&impl] { return std::string(phase_name(impl.state.phase)); },
                     [&impl](std::string& text) { impl.gauges(text); }});
  for (const server::Route& route : impl.api.routes()) all.push_back(api_endpoint(route));
  if (page == PageShown::yes) {
    for (const server::PageFile& file : server::page_files()) all.push_back(page_endpoint(file));
  }
  return all;
}

void ServeEndpoints::watch(const server::HttpServer& http) {
  impl_->http = &http;
}

void ServeEndpoints::cancel_all() {
  impl_->api.cancel_all();
}

}  // namespace nautile::app
