// run_log.h — RunLog: what a training run wrote down, read back for people: curves, loads, samples,
// events, values.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace nautile::train {

struct RunLog {
  struct Point {
    double step = 0, tokens = 0;  // the step, and what was seen after it
    double value = 0;
  };
  using Series = std::vector<Point>;
  // Tokens that chose each expert, over one step or over several neighbours that were joined.
  struct Loads {
    double step = 0;                           // the last of them
    std::vector<std::vector<double>> experts;  // [layer][E]; empty where a layer has none
  };
  struct Sample {
    double step = 0;
    std::string prompt, text;
  };
  struct Event {
    double step = 0, time = 0;  // seconds since 1970; 0: not known
    std::string name, text;     // "resumed": "going on after step 100"
  };
  struct Value {
    std::string key, value, origin;  // "train.tokens", "20000000.0", "recipe"
  };

  std::string path;
  std::map<std::string, Series> series;    // by the name in metrics.jsonl: every number in it
  std::map<std::string, Series> held_out;  // bits per byte by source; "all": of all
  std::vector<Loads> loads;                // ascending, at most kMostLoads
  std::vector<Sample> samples;             // as they were written
  std::vector<Event> events;               // in the order in which they happened
  std::vector<Value> values;               // what the recipe comes to
  double steps = 0, tokens = 0;            // after the last line
  double seconds = 0, flops = 0;           // of all steps; evaluation and samples are left out
  std::vector<std::string> problems;       // what could not be read, a sentence each

  static constexpr std::size_t kMostLoads = 240, kMostSeries = 64, kMostSamples = 4096;

  const Series* find(const std::string& name) const;
  const Value* value(const std::string& key) const;
};

// The files of a run's folder as text.
struct RunTexts {
  std::string_view metrics, samples, events, recipe;
};
// Nothing in them is fatal: lines that are cut, broken or of another shape are left out and named
// in `problems`. A line that goes back to an earlier step replaces what came after that step.
RunLog parse_run_log(const RunTexts& texts);

// A folder that `nautile train --out` made or is still filling. Throws Error(failure) where there
// is no metrics.jsonl in it.
RunLog read_run_log(const std::string& folder);

}  // namespace nautile::train
