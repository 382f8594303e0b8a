// run_log_fuzz.cpp — libFuzzer: any text as the files of a training run.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "train/run_log.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nautile::train;
  // Four files, parted by zero bytes.
  std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto next = [&text] {
    const std::size_t end = text.find('\0');
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    return part;
  };
  RunTexts texts;
  texts.metrics = next();
  texts.samples = next();
  texts.events = next();
  texts.recipe = next();
  const RunLog log = parse_run_log(texts);
  double last = -1;
  for (const RunLog::Loads& loads : log.loads) {
    if (!(loads.step > last) || loads.experts.size() != log.loads.front().experts.size())
      __builtin_trap();
    last = loads.step;
  }
  for (const auto& [name, series] : log.series) {
    last = -1;
    for (const RunLog::Point& point : series) {
      if (!(point.step > last) || !std::isfinite(point.value)) __builtin_trap();
      last = point.step;
    }
  }
  if (log.loads.size() > RunLog::kMostLoads || log.series.size() > RunLog::kMostSeries)
    __builtin_trap();
  return 0;
}
