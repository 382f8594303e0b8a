// jinja_methods.h — methods of strings, dicts and lists, as attributes of values.
#pragma once

#include <string>

#include "text/jinja_machine.h"

namespace nautile::jinja {

// The bound method, or an undefined value if the type has none of that name. Methods that would
// change a list or a dict are undefined, as in jinja2's immutable sandbox; `found` tells apart
// "no such name" (false) from "a name that may not be used" (true).
Value find_method(Machine& machine, const Value& object, const std::string& name, bool& found);

// str.strip family: which ends, which characters (none: white space).
enum class Strip { both, left, right };
Text strip(Machine& machine, const Text& text, Strip ends, const Value& characters);
// str.replace; a negative count replaces all.
Text replace(Machine& machine, const Text& text, const Text& from, const Text& to,
             std::int64_t count);
// sep.join(items); fails if an item is not a string.
Text join(Machine& machine, const Text& separator, const std::vector<Value>& items);
// str.splitlines without the line ends.
std::vector<Text> split_lines(Machine& machine, const Text& text);
// Case mappings, each character keeping its provenance.
Text upper(Machine& machine, const Text& text);
Text lower(Machine& machine, const Text& text);
Text capitalize(Machine& machine, const Text& text);
// str.center with spaces.
Text center(Machine& machine, const Text& text, std::int64_t width);

// Byte position of needle at or after from, or npos; linear time.
std::size_t find_bytes(std::string_view haystack, std::string_view needle, std::size_t from);

}  // namespace nautile::jinja
