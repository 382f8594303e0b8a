// shipped_model.h — the small model that comes with nautile itself.
#pragma once

#include <optional>
#include <string>

#include "app/environment.h"

namespace nautile::app {

// Its name, and its folder's: recipes/think.toml and think-sft.toml made it.
inline constexpr const char* kShippedName = "think";

// Its folder: models/ of the tree that the program was built in, or share/nautile/models beside the
// bin/ that it was installed to. None if it is in neither.
std::optional<std::string> shipped_model(const Environment& environment);
// The same; throws Error(failure) naming the places looked at.
std::string require_shipped_model(const Environment& environment);

}  // namespace nautile::app
