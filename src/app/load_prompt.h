// load_prompt.h — load_prompt: texts of real words, of which a part is the same for all.
#pragma once

#include <cstdint>
#include <string>

namespace nautile::app {

// `shared` words that depend on the seed alone, then `own` words of request `index`. The words are
// common ones, which vocabularies have as one token each, so words are nearly tokens.
struct LoadPromptShape {
  int shared = 150, own = 50;
  std::uint64_t seed = 1;
};
std::string load_prompt(const LoadPromptShape& shape, std::uint64_t index);

}  // namespace nautile::app
