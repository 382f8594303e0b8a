// grammar_gbnf.h — add_gbnf: llama.cpp's dialect of EBNF as a grammar.
#pragma once

#include <string_view>

#include "text/grammar_rules.h"
#include "text/grammar_vocabulary.h"

namespace nautile {

// Rules `name ::= …`, alternatives, "text" with the escapes of C, [classes] with ranges and [^…],
// '.', (groups), * + ? {n} {n,} {n,m}, comments from '#', special tokens as <[id]> or <their text>;
// from the rule "root". Throws Error(bad_input) with the line, Error(unsupported) beyond the
// limits.
ExprId add_gbnf(GrammarRules& rules, std::string_view text, const GrammarVocabulary& vocabulary);

constexpr std::size_t kMaxGbnfBytes = std::size_t{1} << 18;

}  // namespace nautile
