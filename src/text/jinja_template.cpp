// jinja_template.cpp — parse once, run often.
#include "text/jinja_template.h"

#include "text/jinja_parser.h"

namespace nautile::jinja {

Template::Template(std::string_view source) : ast_(std::make_unique<const Ast>(parse(source))) {}
Template::~Template() = default;
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;

Text Template::render(const std::vector<Variable>& variables, const Budgets& budgets,
                      std::time_t now) const {
  return run(*ast_, variables, budgets, now);
}

}  // namespace nautile::jinja
