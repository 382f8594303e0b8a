// jinja_eval.h — runs a parsed template.
#pragma once

#include <ctime>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "text/jinja_ast.h"
#include "text/jinja_json.h"
#include "text/jinja_machine.h"

namespace nautile::jinja {

// A variable the template sees, and who wrote the strings in it.
struct Variable {
  std::string name;
  const nlohmann::ordered_json* value = nullptr;  // borrowed for the render
  OriginRule origin;
};

// The text of the template with these variables; later ones win over earlier ones of the same name.
// `now` is what strftime_now formats, in local time. Throws Error naming the template's line.
Text run(const Ast& ast, const std::vector<Variable>& variables, const Budgets& budgets,
         std::time_t now);

}  // namespace nautile::jinja
