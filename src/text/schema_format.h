// schema_format.h — the values of JSON Schema's `format` that are held to, as regular expressions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace nautile {

// An expression for the whole string, or an empty view for a format that is not known.
std::string_view format_pattern(std::string_view format);
// "date, date-time, …", for messages.
std::string known_formats();

}  // namespace nautile
