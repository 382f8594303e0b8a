// grammar_plan.h — add_plan: a GrammarPlan and its grammars in the common form.
#pragma once

#include "text/grammar.h"
#include "text/grammar_rules.h"

namespace nautile {

// Returns the rule of the whole. Errors as CompiledGrammar's.
RuleId add_plan(GrammarRules& rules, const GrammarPlan& plan, const GrammarVocabulary& vocabulary);

}  // namespace nautile
