// jinja_string_tables.h — str's methods by kind; string_method() looks through the tables.
#pragma once

#include <map>
#include <string>

#include "text/jinja_strings.h"

namespace nautile::jinja {

using StringTable = std::map<std::string, StringMethod, std::less<>>;

const StringTable& cutting_methods();   // strip, split, partition, removeprefix, …
const StringTable& asking_methods();    // isalpha, isupper, …
const StringTable& changing_methods();  // all others: replace, upper, find, join, format, ljust, …

// What a method gives: text as safe as `self`.
inline Value string_like(Machine& machine, const Value& self, Text text) {
  return machine.string(std::move(text), self.string().markup);
}

}  // namespace nautile::jinja
