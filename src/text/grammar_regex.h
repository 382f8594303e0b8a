// grammar_regex.h — add_regex: a regular expression that the whole text matches, as a grammar.
#pragma once

#include <string_view>

#include "text/grammar_rules.h"

namespace nautile {

// The syntax is regex.h's; errors too.
ExprId add_regex(GrammarRules& rules, std::string_view pattern);

}  // namespace nautile
