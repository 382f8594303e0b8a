// printable.h — printable: foreign text made fit for a message.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace nautile {

// Control characters and broken UTF-8 escaped, cut to about `limit` bytes.
std::string printable(std::string_view text, std::size_t limit = 96);

}  // namespace nautile
