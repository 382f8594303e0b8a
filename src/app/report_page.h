// report_page.h — report_page: training runs as one HTML page that needs nothing beside it.
#pragma once

#include <string>
#include <vector>

#include "train/run_log.h"

namespace nautile::app {

constexpr std::size_t kMostReportRuns = 8;  // as many colours as there are

// Curves, expert loads, samples, events, totals and configuration of one run, or of several side by
// side (1 to kMostReportRuns). All text of the runs is escaped, and a content security policy
// allows the page's own style and script by their checksums and nothing else. `made`: who made it
// and when.
std::string report_page(const std::vector<train::RunLog>& runs, const std::string& made);

}  // namespace nautile::app
