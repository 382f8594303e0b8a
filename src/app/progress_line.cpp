#include "app/progress_line.h"

#include <fmt/format.h>

#include <cstdio>
#include <utility>

namespace nautile::app {
namespace {

std::string clock_text(double seconds) {
  const auto whole = static_cast<long>(seconds + 0.5);
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

}  // namespace

ProgressLine::ProgressLine(const Environment& environment, std::string task)
    : terminal_(environment.stderr_terminal), task_(std::move(task)), start_(Clock::now()) {}

ProgressLine::~ProgressLine() {
  if (drawn_ != Clock::time_point()) std::fputs("\r\033[K", stderr);
}

void ProgressLine::update(std::int64_t done, std::int64_t all, const std::string& note) {
  if (!terminal_ || all <= 0) return;
  const auto now = Clock::now();
  if (now - drawn_ < std::chrono::milliseconds(100)) return;
  drawn_ = now;
  const double share = static_cast<double>(done) / static_cast<double>(all);
  const double spent = std::chrono::duration<double>(now - start_).count();
  std::string line = fmt::format("\r\033[K{} {:3.0f}%", task_, 100 * share);
  if (share > 0 && spent > 2) line += fmt::format(", {} left", clock_text(spent / share - spent));
  if (!note.empty()) line += ", " + note;
  std::fputs(line.c_str(), stderr);
  std::fflush(stderr);
}

}  // namespace nautile::app
