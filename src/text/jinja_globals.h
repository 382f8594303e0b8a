// jinja_globals.h — the functions every template can call: range, dict, namespace, raise_exception,
// …
#pragma once

#include <ctime>
#include <string_view>

#include "text/jinja_machine.h"

namespace nautile::jinja {

// The global of this name, or an undefined value with `found` false.
Value find_global(Machine& machine, std::string_view name, std::time_t now, bool& found);

}  // namespace nautile::jinja
