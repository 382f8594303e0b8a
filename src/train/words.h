// words.h — a text as hashes of its words, for finding texts that are alike.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace nautile::train {

// Runs of ASCII letters, digits and bytes above 0x7F; ASCII letters in lower case; all else parts
// words. `begins` (may be null) gets the offset of each.
std::vector<std::uint64_t> word_hashes(std::string_view text,
                                       std::vector<std::size_t>* begins = nullptr);

}  // namespace nautile::train
