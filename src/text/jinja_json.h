// jinja_json.h — template values from JSON, and to JSON as Python's json.dumps writes it.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "text/jinja_machine.h"

namespace nautile::jinja {

// Who wrote the string found under this key (the innermost one; empty at the top).
using OriginRule = std::function<Origin(std::string_view key, std::string_view text)>;

// The value of a JSON document. Throws Error(bad_input) naming the path for text that is not UTF-8,
// numbers beyond 64 bits and nesting deeper than kMaxValueDepth.
Value from_json(Machine& machine, const nlohmann::ordered_json& json, const OriginRule& origin);

struct JsonStyle {
  bool ascii = false;  // escape everything else
  bool sort_keys = false;
  bool pretty = false;  // one item a line, indented
  std::string indent;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};

// json.dumps(value). Fails for what JSON has no word for. The user's if any text inside is.
Text to_json(Machine& machine, const Value& value, const JsonStyle& style);

}  // namespace nautile::jinja
