// answer.h — when an answer is right.
#pragma once

#include <string>
#include <string_view>

namespace nautile::tasks {

struct Problem;

// For answers that are numbers, words or lists of them: right if the items (parted by commas and
// white space; a full stop at the end is let go) are the same in order. Numbers are compared by
// value, of any length; words without regard to the case of ASCII letters. Empty: right.
std::string plain_fault(const Problem& problem, std::string_view answer);

// For Countdown: an expression of exactly the problem's numbers, each once, with the value of the
// problem's own answer. Empty: right.
std::string countdown_fault(const Problem& problem, std::string_view answer);

}  // namespace nautile::tasks
