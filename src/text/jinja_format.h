// jinja_format.h — Python's two ways to format: "%s" % x and "{}".format(x).
#pragma once

#include "text/jinja_machine.h"

namespace nautile::jinja {

// format % argument: a tuple gives several arguments, a dict the named ones.
Value percent_format(Machine& machine, const Value& format, const Value& argument);
// format.format(*positional, **named).
Value brace_format(Machine& machine, const Value& format, const Arguments& arguments);

}  // namespace nautile::jinja
