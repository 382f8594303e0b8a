// jinja_ops.h — Python's operators, attribute access and subscripts on template values.
#pragma once

#include <string>
#include <vector>

#include "text/jinja_ast.h"
#include "text/jinja_machine.h"

namespace nautile::jinja {

// a op b for arithmetic operators; fails as Python would, and where an integer leaves 64 bits.
Value arithmetic(Machine& machine, Op op, const Value& a, const Value& b);
// a op b for comparisons, `in` and `not in`.
bool compare(Machine& machine, Op op, const Value& a, const Value& b);
bool contains(Machine& machine, const Value& container, const Value& item);
Value negate(Machine& machine, const Value& value);
Value plus(Machine& machine, const Value& value);
// a ~ b ~ …
Value concat(Machine& machine, const std::vector<Value>& parts);

// object.name: methods first, then items; undefined if there is neither.
Value get_attribute(Machine& machine, const Value& object, const std::string& name);
// object[key]: items first, then (for string keys) methods; undefined if there is neither.
Value get_item(Machine& machine, const Value& object, const Value& key);
// object[start:stop:step]; absent bounds are none.
Value get_slice(Machine& machine, const Value& object, const Value& start, const Value& stop,
                const Value& step);
// One or more characters of a string, by character index.
Value substring(Machine& machine, const StringObject& string, std::size_t from, std::size_t to);
// The text with & < > ' " as HTML entities.
Text escape_html(Machine& machine, const Value& value);
// Fails with the reason why this value is undefined; returns if it is defined.
void require_defined(Machine& machine, const Value& value);
// Length as len() has it; fails for types without one.
std::size_t length(Machine& machine, const Value& value);

}  // namespace nautile::jinja
