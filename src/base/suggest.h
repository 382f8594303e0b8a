// suggest.h — what a mistyped word may have meant.
#pragma once

#include <string>
#include <vector>

namespace nautile {

// "did you mean 'chat'?", or the whole list where nothing is near.
std::string suggestion(const std::string& word, const std::vector<std::string>& known);

}  // namespace nautile
