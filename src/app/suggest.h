// suggest.h — the words that a mistyped verb or option may have meant.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "base/suggest.h"

namespace nautile::app {

std::vector<std::string> verb_names(const CLI::App& root);
const CLI::App* find_verb(const CLI::App& root, const std::string& name);  // nullptr if absent
// "--ctx" and the like, of one verb.
std::vector<std::string> option_names(const CLI::App& verb);

}  // namespace nautile::app
