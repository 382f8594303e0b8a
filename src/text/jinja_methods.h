// jinja_methods.h — methods of strings, dicts and lists, as attributes of values.
#pragma once

#include <string>

#include "text/jinja_machine.h"

namespace nautile::jinja {

// The bound method, or an undefined value if the type has none of that name. Methods that would
// change a list or a dict are undefined, as in jinja2's immutable sandbox; `found` tells apart
// "no such name" (false) from "a name that may not be used" (true).
Value find_method(Machine& machine, const Value& object, const std::string& name, bool& found);

}  // namespace nautile::jinja
