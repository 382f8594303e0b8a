// one_shot.h — what `chat` without a terminal and `run` share: the prompt's text and the JSON
// report.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "app/generation.h"
#include "app/loaded_model.h"
#include "app/output.h"

namespace nautile::app {

// All of standard input; "" if it is closed. Throws Error(failure) if it cannot be read,
// Error(usage) beyond 64 MB, Interrupted.
std::string read_stdin(const Environment& environment);

// Facts of an answer for --json: model, finish, token counts, times, and the settings it was made
// with.
nlohmann::ordered_json report_of(const Generated& generated, const LoadedModel& model,
                                 const Settings& settings);
// Prints one line of JSON. Throws Error(failure) if standard output cannot be written to.
Output print_report(const nlohmann::ordered_json& report);

}  // namespace nautile::app
