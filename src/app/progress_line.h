// progress_line.h — ProgressLine: one line on a terminal's stderr that tells how far a task is.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "app/environment.h"

namespace nautile::app {

// Silent where stderr is no terminal. The line is wiped when the object goes.
class ProgressLine {
 public:
  ProgressLine(const Environment& environment, std::string task);
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  // Percent, and the time left once it can be guessed; drawn at most ten times a second. `note`
  // follows it.
  void update(std::int64_t done, std::int64_t all, const std::string& note = "");

 private:
  using Clock = std::chrono::steady_clock;
  bool terminal_;
  std::string task_;
  Clock::time_point start_, drawn_;
};

}  // namespace nautile::app
