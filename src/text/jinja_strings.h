// jinja_strings.h — the methods of Python's str.
#pragma once

#include <string>

#include "text/jinja_machine.h"

namespace nautile::jinja {

using StringMethod = Value (*)(Machine&, const Value& self, const Arguments&);

// The method of this name, or null.
StringMethod string_method(const std::string& name);
// A method that str has and we do not.
bool is_unsupported_string_method(const std::string& name);

}  // namespace nautile::jinja
