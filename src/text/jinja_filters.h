// jinja_filters.h — what may stand after `|`.
#pragma once

#include <string>

#include "text/jinja_machine.h"

namespace nautile::jinja {

using Filter = Value (*)(Machine&, const Value& subject, const Arguments&);

bool is_filter(const std::string& name);
// subject | name(arguments). Fails for unknown filters and wrong arguments.
Value run_filter(Machine& machine, const std::string& name, const Value& subject,
                 const Arguments& arguments);

// The filters of sequences (map, select, sort, …), or null.
Filter sequence_filter(const std::string& name);

}  // namespace nautile::jinja
