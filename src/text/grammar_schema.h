// grammar_schema.h — add_json_schema: a JSON Schema as a grammar of texts that it admits.
#pragma once

#include <string_view>

#include "text/grammar.h"
#include "text/grammar_rules.h"

namespace nautile {

// Draft 2020-12: type and unions of types, enum, const, anyOf, allOf, $ref within the schema
// ($defs, recursion), properties, required, additionalProperties, items, prefixItems, minItems,
// maxItems, pattern (regex.h), format (schema_format.h), minLength, maxLength, minimum, maximum,
// exclusiveMinimum, exclusiveMaximum, multipleOf of an integer; annotations (title, description,
// default, examples, $schema, $id, $comment, deprecated, readOnly, writeOnly) are passed over.
// Every text of the grammar fits the schema; some that fit are left out:
// - members stand in the order of `properties`, of the schema first, then of allOf's;
// - where `properties` are listed, others come only if additionalProperties asks for them; where
//   `prefixItems` are, more come only if `items` is there or minItems needs them;
// - without `type`, keywords of one type mean that type;
// - numbers as grammar_json.h and grammar_number.h say; a string with pattern or format is spelt
// with
//   escapes only where JSON needs them.
//
// Throws Error(bad_input) for what is no schema or admits nothing, Error(unsupported) for any other
// keyword, and for what exceeds a limit; with the JSON pointer.
ExprId add_json_schema(GrammarRules& rules, std::string_view schema, JsonSpace space);

}  // namespace nautile
