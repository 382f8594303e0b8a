#include "app/shipped_model.h"

#include <array>
#include <filesystem>

#include "base/error.h"

namespace nautile::app {
namespace {

namespace fs = std::filesystem;

// The program is build/PRESET/nautile in its tree, PREFIX/bin/nautile where it is installed.
std::array<fs::path, 2> places(const Environment& environment) {
  const fs::path program(environment.program_folder);
  return {program.parent_path().parent_path() / "models" / kShippedName,
          program.parent_path() / "share" / "nautile" / "models" / kShippedName};
}

}  // namespace

std::optional<std::string> shipped_model(const Environment& environment) {
  for (const fs::path& place : places(environment)) {
    std::error_code ignored;
    if (fs::exists(place / "config.json", ignored)) return place.string();
  }
  return std::nullopt;
}

std::string require_shipped_model(const Environment& environment) {
  if (auto found = shipped_model(environment)) return *found;
  const auto [tree, installed] = places(environment);
  throw make_error(ErrorKind::failure, "{} is not here: neither {} nor {} has a config.json",
                   kShippedName, tree.string(), installed.string())
      .hint("the folder models/ of nautile's source tree has it; -m PATH takes any model");
}

}  // namespace nautile::app
