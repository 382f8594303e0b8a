// suggest.h — what a mistyped word may have meant.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace nautile::app {

// "did you mean 'chat'?", or the whole list where nothing is near.
std::string suggestion(const std::string& word, const std::vector<std::string>& known);

std::vector<std::string> verb_names(const CLI::App& root);
const CLI::App* find_verb(const CLI::App& root, const std::string& name);  // nullptr if absent
// "--ctx" and the like, of one verb.
std::vector<std::string> option_names(const CLI::App& verb);

}  // namespace nautile::app
