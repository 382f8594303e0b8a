// jinja_parser.h — from tokens to the tree of a template.
#pragma once

#include <string_view>

#include "text/jinja_ast.h"

namespace nautile::jinja {

// Parses a template. Throws Error(bad_input) with the line for bad syntax, for unknown filters and
// tests outside of conditions, and for nesting deeper than the parser follows.
Ast parse(std::string_view source);

}  // namespace nautile::jinja
