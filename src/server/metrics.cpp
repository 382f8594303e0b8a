#include "server/metrics.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace nautile::server {
namespace {

// Seconds: fine where tokens follow one another, coarse where long answers end.
constexpr std::array kBounds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,   0.25, 0.5,
                                1.0,   2.5,    5.0,   10.0, 25.0,  60.0, 120.0, 300.0};

std::string escaped(std::string_view value) {
  std::string text;
  for (const char c : value) {
    if (c == '\\' || c == '"') text += '\\';
    if (c == '\n') {
      text += "\\n";
    } else {
      text += c;
    }
  }
  return text;
}

std::string labels_text(const Labels& labels) {
  std::string text;
  for (const auto& [name, value] : labels) {
    text += fmt::format("{}{}=\"{}\"", text.empty() ? "" : ",", name, escaped(value));
  }
  return text;
}

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

void append_head(std::string& text, std::string_view name, std::string_view type,
                 std::string_view help) {
  text += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

void append_line(std::string& text, std::string_view name, std::string_view labels, double value) {
  text += labels.empty() ? fmt::format("{} {}\n", name, number(value))
                         : fmt::format("{}{{{}}} {}\n", name, labels, number(value));
}

}  // namespace

void Metrics::count(std::string_view name, std::string_view help, const Labels& labels, double by) {
  const std::string key = labels_text(labels);
  const std::lock_guard lock(mutex_);
  auto it = counters_.find(name);
  if (it == counters_.end())
    it = counters_.emplace(name, Family<double>{std::string(help), {}}).first;
  it->second.values[key] += by;
}

void Metrics::observe(std::string_view name, std::string_view help, const Labels& labels,
                      double seconds) {
  const std::string key = labels_text(labels);
  const auto bucket = static_cast<std::size_t>(
      std::lower_bound(kBounds.begin(), kBounds.end(), seconds) - kBounds.begin());
  const std::lock_guard lock(mutex_);
  auto it = histograms_.find(name);
  if (it == histograms_.end()) {
    it = histograms_.emplace(name, Family<Histogram>{std::string(help), {}}).first;
  }
  Histogram& histogram = it->second.values[key];
  histogram.buckets.resize(kBounds.size() + 1);
  ++histogram.buckets[bucket];
  histogram.sum += seconds;
  ++histogram.count;
}

std::string Metrics::text() const {
  const std::lock_guard lock(mutex_);
  std::string text;
  for (const auto& [name, family] : counters_) {
    append_head(text, name, "counter", family.help);
    for (const auto& [labels, value] : family.values) append_line(text, name, labels, value);
  }
  for (const auto& [name, family] : histograms_) {
    append_head(text, name, "histogram", family.help);
    for (const auto& [labels, histogram] : family.values) {
      const std::string comma = labels.empty() ? "" : labels + ",";
      std::uint64_t below = 0;
      for (std::size_t i = 0; i <= kBounds.size(); ++i) {
        below += histogram.buckets[i];
        const std::string bound = i < kBounds.size() ? number(kBounds[i]) : "+Inf";
        append_line(text, name + "_bucket", fmt::format("{}le=\"{}\"", comma, bound),
                    static_cast<double>(below));
      }
      append_line(text, name + "_sum", labels, histogram.sum);
      append_line(text, name + "_count", labels, static_cast<double>(histogram.count));
    }
  }
  return text;
}

void append_metric(std::string& text, std::string_view name, MetricType type, std::string_view help,
                   const std::vector<MetricValue>& values) {
  append_head(text, name, type == MetricType::counter ? "counter" : "gauge", help);
  for (const MetricValue& value : values) {
    append_line(text, name, labels_text(value.labels), value.value);
  }
}

}  // namespace nautile::server
