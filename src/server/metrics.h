// metrics.h — Metrics: counters and histograms in Prometheus' text format.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace nautile::server {

// Names and values of labels, in order: {{"route", "/v1/models"}, {"status", "200"}}.
using Labels = std::vector<std::pair<std::string, std::string>>;

// Safe for concurrent use. A metric is there from its first use; names are ours, so that their
// number is bounded, and so must the values of labels be.
class Metrics {
 public:
  // Adds to a counter.
  void count(std::string_view name, std::string_view help, const Labels& labels, double by = 1);
  // Adds one observation [s] to a histogram with buckets from 1 ms to 5 min.
  void observe(std::string_view name, std::string_view help, const Labels& labels, double seconds);

  // All of it as text/plain; version=0.0.4, in order of name.
  std::string text() const;

 private:
  struct Histogram {
    std::vector<std::uint64_t> buckets;  // not cumulative; one more than bounds
    double sum = 0;
    std::uint64_t count = 0;
  };
  template <class Value>
  struct Family {
    std::string help;
    std::map<std::string, Value> values;  // by labels as printed: route="…",status="…"
  };

  mutable std::mutex mutex_;
  std::map<std::string, Family<double>, std::less<>> counters_;
  std::map<std::string, Family<Histogram>, std::less<>> histograms_;
};

// One value that is read when it is asked for: appended to a text as Metrics::text() writes it.
enum class MetricType : std::uint8_t { counter, gauge };
struct MetricValue {
  Labels labels;
  double value = 0;
};
void append_metric(std::string& text, std::string_view name, MetricType type, std::string_view help,
                   const std::vector<MetricValue>& values);

}  // namespace nautile::server
