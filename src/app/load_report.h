// load_report.h — LoadReport: what the answers to many clients come to, as a table and as JSON.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/load_run.h"

namespace nautile::app {

// Of a list of times [s], by nearest rank; -1 of an empty one.
struct Percentiles {
  double p50 = -1, p95 = -1, p99 = -1;
};
Percentiles percentiles(std::vector<double> values);

// Answers that are not good, by status of HTTP; 0: none came, or it broke off.
struct LoadFailure {
  std::int64_t count = 0;
  std::int64_t with_retry_after = 0;
  Percentiles seconds;  // from connecting to the end of the refusal
  std::string example;  // what one of them says
};

struct LoadReport {
  int clients = 0;
  std::int64_t good = 0;
  double seconds = 0;                             // the whole run
  std::int64_t tokens = 0;                        // of good answers
  double prompt_tokens = -1, cached_tokens = -1;  // means over good answers; -1: not told
  Percentiles first_token;                        // from connecting to the first text
  // Between two events with text. Servers may put several tokens into one.
  Percentiles between_tokens;
  Percentiles whole;  // from connecting to the last byte
  std::map<int, LoadFailure> failures;

  double tokens_per_second() const;  // of all clients together
  double answers_per_second() const;
};

LoadReport load_report(const LoadRun& run, int clients);

// Two lines of heading, one line for each number of clients, and what failed.
std::string load_table(const std::vector<LoadReport>& reports);
// Times in seconds; null where there is none.
nlohmann::ordered_json load_json(const LoadReport& report);

}  // namespace nautile::app
