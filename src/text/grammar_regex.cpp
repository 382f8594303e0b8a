#include "text/grammar_regex.h"

#include "text/regex.h"

namespace nautile {

ExprId add_regex(GrammarRules& rules, std::string_view pattern) {
  return Regex(pattern).add_to(rules, Regex::Match::whole,
                               [&](const CharSet& set) { return rules.chars(set); });
}

}  // namespace nautile
