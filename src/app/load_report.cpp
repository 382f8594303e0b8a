#include "app/load_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace nautile::app {
namespace {

using Json = nlohmann::ordered_json;

double at_rank(const std::vector<double>& sorted, double share) {
  const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(sorted.size())));
  return sorted[std::max<std::size_t>(rank, 1) - 1];
}

std::string milliseconds(double seconds) {
  if (seconds < 0) return "-";
  return fmt::format("{:.{}f}", seconds * 1e3, seconds < 0.01 ? 2 : seconds < 0.1 ? 1 : 0);
}

// The first line of what a server says, or the message of its JSON.
std::string said(const LoadAnswer& answer) {
  if (!answer.error.empty()) return answer.error;
  const Json body = Json::parse(answer.body, nullptr, /*allow_exceptions=*/false);
  if (body.is_object() && body.contains("error")) {
    const Json& error = body["error"];
    if (error.is_object() && error.contains("message") && error["message"].is_string())
      return error["message"];
  }
  return answer.body.substr(0, std::min<std::size_t>(answer.body.find('\n'), 200));
}

Json json_of(const Percentiles& times) {
  const auto value = [](double seconds) { return seconds < 0 ? Json() : Json(seconds); };
  return {{"p50", value(times.p50)}, {"p95", value(times.p95)}, {"p99", value(times.p99)}};
}

// Adds the means that all of the answers tell, else -1.
double mean(const std::vector<const LoadAnswer*>& answers, std::int64_t LoadAnswer::*member) {
  double sum = 0;
  for (const LoadAnswer* answer : answers) {
    if (answer->*member < 0) return -1;
    sum += static_cast<double>(answer->*member);
  }
  return answers.empty() ? -1 : sum / static_cast<double>(answers.size());
}

}  // namespace

Percentiles percentiles(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  return {at_rank(values, 0.5), at_rank(values, 0.95), at_rank(values, 0.99)};
}

double LoadReport::tokens_per_second() const {
  return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
}

double LoadReport::answers_per_second() const {
  return seconds > 0 ? static_cast<double>(good) / seconds : 0;
}

LoadReport load_report(const LoadRun& run, int clients) {
  LoadReport report;
  report.clients = clients;
  report.seconds = run.seconds;
  std::vector<double> first, between, whole;
  std::vector<const LoadAnswer*> good;
  std::map<int, std::vector<double>> refused;
  for (const LoadAnswer& answer : run.answers) {
    if (!answer.good()) {
      LoadFailure& failure = report.failures[answer.error.empty() ? answer.status : 0];
      if (failure.count++ == 0) failure.example = said(answer);
      if (answer.retry_after) ++failure.with_retry_after;
      refused[answer.error.empty() ? answer.status : 0].push_back(answer.ended - answer.begun);
      continue;
    }
    good.push_back(&answer);
    report.tokens += answer.tokens();
    whole.push_back(answer.ended - answer.begun);
    if (!answer.parts.empty()) first.push_back(answer.parts[0] - answer.begun);
    for (std::size_t i = 1; i < answer.parts.size(); ++i)
      between.push_back(answer.parts[i] - answer.parts[i - 1]);
  }
  report.good = static_cast<std::int64_t>(good.size());
  report.prompt_tokens = mean(good, &LoadAnswer::prompt_tokens);
  report.cached_tokens = mean(good, &LoadAnswer::cached_tokens);
  report.first_token = percentiles(std::move(first));
  report.between_tokens = percentiles(std::move(between));
  report.whole = percentiles(std::move(whole));
  for (auto& [status, failure] : report.failures)
    failure.seconds = percentiles(std::move(refused[status]));
  return report;
}

std::string load_table(const std::vector<LoadReport>& reports) {
  std::string text = fmt::format("{:>7} {:>9} {:>9}   {:^23}   {:^23}\n", "", "", "",
                                 "first token [ms]", "between tokens [ms]");
  text += fmt::format("{:>7} {:>9} {:>9}   {:>7} {:>7} {:>7}   {:>7} {:>7} {:>7} {:>9} {:>7}\n",
                      "clients", "tokens/s", "answers/s", "p50", "p95", "p99", "p50", "p95", "p99",
                      "answers", "failed");
  for (const LoadReport& report : reports) {
    std::int64_t failed = 0;
    for (const auto& [status, failure] : report.failures) failed += failure.count;
    const Percentiles &first = report.first_token, &between = report.between_tokens;
    text +=
        fmt::format("{:>7} {:>9.1f} {:>9.2f}   {:>7} {:>7} {:>7}   {:>7} {:>7} {:>7} {:>9} {:>7}\n",
                    report.clients, report.tokens_per_second(), report.answers_per_second(),
                    milliseconds(first.p50), milliseconds(first.p95), milliseconds(first.p99),
                    milliseconds(between.p50), milliseconds(between.p95), milliseconds(between.p99),
                    report.good, failed);
  }
  for (const LoadReport& report : reports) {
    for (const auto& [status, failure] : report.failures) {
      text += fmt::format("{} clients: {} × {}, within {} ms (p95)", report.clients, failure.count,
                          status == 0 ? "no whole answer" : fmt::format("status {}", status),
                          milliseconds(failure.seconds.p95));
      if (failure.with_retry_after > 0)
        text += fmt::format(", {} with Retry-After", failure.with_retry_after);
      text += failure.example.empty() ? "\n" : fmt::format(": {}\n", failure.example);
    }
  }
  return text;
}

Json load_json(const LoadReport& report) {
  Json json = {{"clients", report.clients},
               {"answers", report.good},
               {"seconds", report.seconds},
               {"tokens", report.tokens},
               {"tokens_per_second", report.tokens_per_second()},
               {"answers_per_second", report.answers_per_second()},
               {"prompt_tokens", report.prompt_tokens < 0 ? Json() : Json(report.prompt_tokens)},
               {"cached_tokens", report.cached_tokens < 0 ? Json() : Json(report.cached_tokens)},
               {"first_token", json_of(report.first_token)},
               {"between_tokens", json_of(report.between_tokens)},
               {"whole", json_of(report.whole)},
               {"failures", Json::array()}};
  for (const auto& [status, failure] : report.failures) {
    json["failures"].push_back({{"status", status},
                                {"count", failure.count},
                                {"with_retry_after", failure.with_retry_after},
                                {"seconds", json_of(failure.seconds)},
                                {"example", failure.example}});
  }
  return json;
}

}  // namespace nautile::app
