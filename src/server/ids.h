// ids.h — names for answers and calls.
#pragma once

#include <string>
#include <string_view>

namespace nautile::server {

// The prefix and 24 letters and digits, never the same twice. Thread-safe.
std::string new_id(std::string_view prefix);

// A seed for whoever asked for none.
unsigned long long new_seed();

}  // namespace nautile::server
