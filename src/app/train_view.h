// train_view.h — what `nautile train` shows: plan, live line, and how a run ended.
#pragma once

#include <chrono>
#include <string>

#include "app/environment.h"
#include "train/run.h"

namespace nautile::app {

std::string count_text(double value);  // "14.8 T", "671 B", "32.77 k"
std::string flops_text(double value);  // "3.86 PFLOP"
std::string span_text(double hours);   // "54.2 days", "8 h 24 min", "46.0 s"

// What a recipe comes to, before anything is allocated. peak_flops of one device; 0: not known.
struct Plan {
  const train::Recipe& recipe;
  double peak_flops = 0;
  std::string peak_source;  // "bf16 products measured here, 2 threads"
  double available_bytes = 0;
  int ranks = 1;  // processes
};
void print_plan(const Plan& plan);
void print_plan_json(const Plan& plan);

// "key = value  origin", a line each, by tables.
void print_effective(const train::Recipe& recipe);

// One line that is drawn again where standard error is a terminal; else a line every so many steps.
class TrainLine {
 public:
  TrainLine(const Environment& environment, const train::Recipe& recipe);
  ~TrainLine();
  TrainLine(const TrainLine&) = delete;
  TrainLine& operator=(const TrainLine&) = delete;

  void show(const train::RunProgress& progress);
  // Text of its own, above the line.
  void say(const std::string& text);

 private:
  using Clock = std::chrono::steady_clock;
  std::string text(const train::RunProgress& progress) const;
  void wipe();

  bool terminal_;
  const train::Recipe& recipe_;
  std::string drawn_;
  Clock::time_point when_;
};

}  // namespace nautile::app
