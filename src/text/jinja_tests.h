// jinja_tests.h — what may stand after `is`.
#pragma once

#include <string>

#include "text/jinja_machine.h"

namespace nautile::jinja {

bool is_test(const std::string& name);
// Whether `subject is name(arguments)`. Fails for unknown tests and wrong arguments.
bool run_test(Machine& machine, const std::string& name, const Value& subject,
              const Arguments& arguments);

}  // namespace nautile::jinja
