// metrics.h — MetricsLog: what each step did, in metrics.jsonl and TensorBoard's event files.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "train/event_file.h"
#include "train/run_data.h"

namespace nautile::train {

struct StepRecord {
  StepReport report;
  std::int64_t first_slot = 0, slots = 0;  // of the data
  double seconds = 0;                      // the step took
  double tokens_per_second = 0;
  double flops_per_second = 0;       // as train/cost.h counts work
  double mfu = 0;                    // of the machine's peak; 0: that is not known
  std::vector<HeldOutScore> scores;  // where held-out text was read after this step
  enum class Loads : std::uint8_t { leave_out, write } loads = Loads::leave_out;
};

// The line of a step, without its end.
std::string metrics_line(const StepRecord& record);

// Takes the lines of steps after `done` out of a file of JSON lines, if it is there; and a last
// line that a crash has cut.
void keep_steps(const std::string& path, std::int64_t done);

class MetricsLog {
 public:
  // In `folder`; lines of steps after `done` are taken away, they are to come again. Throws
  // Error(failure).
  MetricsLog(const std::string& folder, std::int64_t done, Recipe::EventFiles events);

  // Both files hold the step when it returns.
  void add(const StepRecord& record);

 private:
  std::unique_ptr<LogFile> lines_;
  std::unique_ptr<EventFile> events_;
};

}  // namespace nautile::train
