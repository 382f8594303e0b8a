// report.cpp — the verb `report`: training runs as one HTML page.
#include <chrono>
#include <filesystem>

#include "app/loaded_model.h"
#include "app/program.h"
#include "app/report_page.h"
#include "base/file.h"

namespace nautile::app {
namespace {

namespace fs = std::filesystem;

struct ReportChoice {
  std::vector<std::string> runs;
  std::string out;
};

std::string now_text() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &parts)};
}

ExitCode write_report(const ReportChoice& choice, const Environment&) {
  std::vector<train::RunLog> runs;
  for (std::string path : choice.runs) {
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    runs.push_back(train::read_run_log(path));
    for (const std::string& problem : runs.back().problems)
      fmt::print(stderr, "nautile: {}: {}\n", path, problem);
  }
  const std::string out =
      !choice.out.empty()
          ? choice.out
          : (fs::path(runs.front().path) / (runs.size() == 1 ? "report.html" : "comparison.html"))
                .string();
  const std::string page =
      report_page(runs, fmt::format("Made by nautile {} on {}", NAUTILE_VERSION, now_text()));
  write_file_atomic(out, page);
  for (const train::RunLog& run : runs)
    fmt::print("{}: {:.0f} steps, {:.0f} tokens, {} samples, {} events\n", run.path, run.steps,
               run.tokens, run.samples.size(), run.events.size());
  fmt::print("{}: {}\n", out, bytes_text(static_cast<double>(page.size())));
  return ExitCode::ok;
}

}  // namespace

void add_report(CLI::App& root, Program& program) {
  const auto choice = std::make_shared<ReportChoice>();
  CLI::App* verb = add_verb(root, program, "report",
                            "Show training runs as one HTML page: curves, experts, samples, values",
                            choice, write_report);
  verb->add_option("runs", choice->runs,
                   "The run's folder: `--out` of nautile train; several are put side by side")
      ->type_name("PATH")
      ->required()
      ->expected(1, static_cast<int>(kMostReportRuns));
  verb->add_option(
          "--out", choice->out,
          "The page to write (default: report.html in the run's folder; comparison.html in "
          "the first of several)")
      ->type_name("FILE_PATH");
}

}  // namespace nautile::app
