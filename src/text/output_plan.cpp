#include "text/output_plan.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/json.h"
#include "base/printable.h"
#include "text/grammar_rules.h"
#include "text/grammar_schema.h"

namespace nautile {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMaxName = 64;
// After </think>: models write none, or an empty line.
constexpr std::uint32_t kMaxBlanks = 2;
// An answer where calls are bare objects: any text that does not begin with a brace.
constexpr const char* kNoObject =
    "[ \\t\\r\\n]*([^ \\t\\r\\n\\{][\\u{0}-\\u{D7FF}\\u{E000}-\\u{10FFFF}]*)?";
constexpr const char* kNoArguments =
    R"({"type": "object", "properties": {}, "additionalProperties": false})";

bool is_name(std::string_view text) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  };
  return !text.empty() && text.size() <= kMaxName && std::all_of(text.begin(), text.end(), fits);
}

// Whether the schema leaves open that its values are objects; then it is said.
std::string schema_of_object(const ToolSpec& tool) {
  if (tool.parameters.empty()) return kNoArguments;
  Json schema = parse_ordered_json(tool.parameters, "schema");
  NAUTILE_CHECK(schema.is_object(), "expected a JSON Schema, an object");
  for (const char* keyword : {"$ref", "anyOf", "allOf", "enum", "const"}) {
    if (schema.contains(keyword)) return tool.parameters;
  }
  if (!schema.contains("type")) {
    schema["type"] = "object";
    return schema.dump();
  }
  NAUTILE_CHECK(schema["type"] == "object",
                "arguments are an object: expected the type \"object\", "
                "found {}",
                printable(schema["type"].dump(), 60));
  return tool.parameters;
}

// The schema is tried here, so that what is wrong with it is said of this tool.
GrammarSpec arguments_of(const ToolSpec& tool) {
  GrammarSpec spec{GrammarKind::json_schema, schema_of_object(tool)};
  try {
    GrammarRules rules;
    add_json_schema(rules, spec.text, spec.space);
  } catch (const Error& error) {
    const bool beyond = error.kind() == ErrorKind::unsupported;
    if (!beyond || tool.strictness == ToolSpec::Strictness::strict) throw;
    return {GrammarKind::json_object, ""};
  }
  return spec;
}

FreeText reasoning_text(ReasoningMode mode) {
  FreeText text{{"</think>"}, FreeText::End::trigger_only};
  if (mode == ReasoningMode::may_open) text.opened_by = "<think>";
  return text;
}

// Everything about calls; the reasoning is not in it.
GrammarPlan calls_plan(const ToolFormat& format, const OutputRules& rules) {
  GrammarPlan plan;
  // Without a block each call begins with the trigger, which is then not the choice's to say.
  const bool in_block = !format.block_open.empty();
  const std::string_view open =
      in_block ? format.call_open : format.call_open.substr(format.trigger.size());
  for (std::size_t i = 0; i < rules.tools.size(); ++i) {
    const ToolSpec& tool = rules.tools[i];
    NAUTILE_CHECK(is_name(tool.name), "tools[{}].function.name: expected 1 to {} of [A-Za-z0-9_-]",
                  i, kMaxName);
    if (rules.choice == OutputRules::Choice::named && tool.name != rules.tool) continue;
    try {
      plan.choices.push_back(
          {{GrammarKind::literal, fmt::format("{}{}{}", open, tool.name, format.arguments_open)},
           arguments_of(tool),
           {GrammarKind::literal, std::string(format.call_close)}});
    } catch (const Error& error) {
      throw error.with("tools[{}].function.parameters", i);
    }
  }
  NAUTILE_CHECK(!plan.choices.empty(), "tool_choice: no tool is named '{}'",
                printable(rules.tool, kMaxName));
  plan.opening = format.trigger;
  plan.separator = fmt::format("{}{}", format.separator, in_block ? "" : format.trigger);
  plan.closing = format.block_close;
  const bool single =
      rules.calls == OutputRules::Calls::one || format.syntax == ToolFormat::Syntax::bare_json;
  plan.most = single ? 1 : GrammarPlan::kForever;
  if (rules.choice != OutputRules::Choice::automatic) return plan;
  if (rules.answer) {
    plan.answers = {{*rules.answer}};
  } else if (format.trigger.empty()) {
    plan.answers = {{{GrammarKind::regex, kNoObject}}};
  } else {
    plan.free_texts = {{{std::string(format.trigger)}, FreeText::End::anywhere}};
    plan.opening.clear();
  }
  return plan;
}

}  // namespace

std::vector<ToolSpec> tool_specs(const nlohmann::ordered_json& tools) {
  std::vector<ToolSpec> specs;
  if (tools.is_null()) return specs;
  NAUTILE_CHECK(tools.is_array(), "tools: expected a list");
  std::set<std::string> names;
  for (std::size_t i = 0; i < tools.size(); ++i) {
    const Json& tool = tools[i];
    NAUTILE_CHECK(tool.is_object() && tool.value("type", Json("function")) == "function",
                  "tools[{}].type: expected \"function\"", i);
    NAUTILE_CHECK(tool.contains("function") && tool["function"].is_object(),
                  "tools[{}].function: expected an object", i);
    const Json& function = tool["function"];
    NAUTILE_CHECK(function.contains("name") && function["name"].is_string() &&
                      is_name(function["name"].get_ref<const std::string&>()),
                  "tools[{}].function.name: expected 1 to {} of [A-Za-z0-9_-]", i, kMaxName);
    ToolSpec spec;
    spec.name = function["name"].get<std::string>();
    NAUTILE_CHECK(names.insert(spec.name).second, "tools[{}].function.name: '{}' is there twice", i,
                  spec.name);
    const Json parameters = function.value("parameters", Json());
    NAUTILE_CHECK(parameters.is_null() || parameters.is_object(),
                  "tools[{}].function.parameters: expected a JSON Schema, an object", i);
    if (!parameters.is_null()) spec.parameters = parameters.dump();
    const Json strict = function.value("strict", Json());
    NAUTILE_CHECK(strict.is_null() || strict.is_boolean(),
                  "tools[{}].function.strict: expected true or false", i);
    if (strict == true) spec.strictness = ToolSpec::Strictness::strict;
    specs.push_back(std::move(spec));
  }
  return specs;
}

std::optional<GrammarPlan> output_plan(const ToolFormat& format, const OutputRules& rules) {
  NAUTILE_CHECK(!rules.tools.empty() || rules.choice == OutputRules::Choice::automatic,
                "tool_choice: a call is asked for, but there are no tools");
  GrammarPlan plan;
  if (!rules.tools.empty()) {
    plan = calls_plan(format, rules);
  } else if (rules.answer) {
    plan = GrammarPlan::of(*rules.answer);
  } else {
    return std::nullopt;
  }
  if (rules.reasoning == ReasoningMode::none) return plan;
  FreeText reasoning = reasoning_text(rules.reasoning);
  if (plan.free_texts.empty()) reasoning.blanks = kMaxBlanks;
  plan.free_texts.insert(plan.free_texts.begin(), std::move(reasoning));
  return plan;
}

}  // namespace nautile
