// output_plan.h — OutputRules: what an answer may be, by tools and response format; as a grammar.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "text/grammar.h"
#include "text/reasoning.h"
#include "text/tool_format.h"

namespace nautile {

struct ToolSpec {
  std::string name;
  std::string parameters;  // JSON Schema of an object; empty: no arguments
  enum class Strictness : std::uint8_t {
    lenient,  // a schema beyond the subset of grammar_schema.h admits any object
    strict,   // it is an error
  } strictness = Strictness::lenient;
};

// Of the API's list of tools (as Conversation::tools). Throws Error(bad_input) naming the field:
// names are 1 to 64 of [A-Za-z0-9_-], each once.
std::vector<ToolSpec> tool_specs(const nlohmann::ordered_json& tools);

struct OutputRules {
  // Of the prompt: reasoning comes first, free, up to </think>.
  ReasoningMode reasoning = ReasoningMode::none;
  std::vector<ToolSpec> tools;  // none: no calls ("none" of tool_choice)
  enum class Choice : std::uint8_t {
    automatic,  // an answer, or calls, or an answer and then calls
    required,   // calls
    named,      // calls of `tool`
  } choice = Choice::automatic;
  std::string tool;
  // llama3 is held to one in any case: its template writes no more.
  enum class Calls : std::uint8_t { one, parallel } calls = Calls::parallel;
  std::optional<GrammarSpec> answer;  // what an answer without calls fits; none: it is free
};

// The plan for CompiledGrammar; none if there is nothing to constrain. What fits it, ToolCallParser
// of the same format reads as whole calls. Throws Error(bad_input) and Error(unsupported) with the
// place ("tools[2].function.parameters"); more than 1,024 tools are too many.
std::optional<GrammarPlan> output_plan(const ToolFormat& format, const OutputRules& rules);

}  // namespace nautile
