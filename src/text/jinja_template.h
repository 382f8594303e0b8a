// jinja_template.h — a compiled template: the subset of jinja2 that chat templates are written in.
#pragma once

#include <ctime>
#include <memory>
#include <string_view>
#include <vector>

#include "text/jinja_eval.h"

namespace nautile::jinja {

// Behaves as Hugging Face's environment does: jinja2's immutable sandbox with trim_blocks,
// lstrip_blocks, loop controls, {% generation %}, json.dumps as tojson, raise_exception and
// strftime_now. Left out: template inheritance, include, import, autoescape, integers beyond 64
// bits and a few filters of web pages; using one fails by name. Immutable; rendering from many
// threads is safe.
class Template {
 public:
  // Throws Error(bad_input) with the template's line.
  explicit Template(std::string_view source);
  ~Template();
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;

  // The rendered text; every byte of it knows whether it came from a variable marked as the user's.
  // Throws Error with the line: what the template raises, type errors, exhausted budgets.
  Text render(const std::vector<Variable>& variables, const Budgets& budgets,
              std::time_t now) const;

 private:
  std::unique_ptr<const Ast> ast_;
};

}  // namespace nautile::jinja
