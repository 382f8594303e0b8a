// grammar_json.h — the parts of JSON in the common form: values, strings, white space.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/grammar.h"
#include "text/grammar_rules.h"

namespace nautile {

// What is generated is a subset of JSON that every reader takes the same way: numbers have at most
// 18 digits before the point, 17 after it and 2 in the exponent; \u escapes make whole characters.
class JsonParts {
 public:
  static constexpr std::uint32_t kMaxIndent = 32;  // blanks or tabs after a line end

  JsonParts(GrammarRules& rules, JsonSpace space) : rules_(rules), space_(space) {}

  ExprId space();  // where a line may end: inside brackets and after commas
  ExprId colon();  // with what may follow it
  ExprId any_value();
  ExprId object();  // any
  ExprId array();   // any
  ExprId string(std::uint32_t min_chars = 0, std::uint32_t max_chars = GrammarRules::kForever);
  ExprId number();
  ExprId integer();
  // A string, as the content of the quotes says.
  ExprId quoted(ExprId content);
  // The characters of a set as they are spelt in a string: as themselves, or in their one escape.
  ExprId characters(const CharSet& set);
  // A name that is none of these; spelt as characters() spells.
  ExprId name_except(std::vector<std::string> names);
  // Exactly this value; members in their order.
  ExprId constant(const nlohmann::ordered_json& value);
  // "[" items… "]", "{" members… "}": the content brings its own space before the closing bracket.
  ExprId bracketed(char open, ExprId content, char close);

 private:
  ExprId character();  // any, in any spelling
  ExprId digits(std::uint32_t min, std::uint32_t max);
  ExprId name_rest(std::span<const std::string> names, std::size_t depth);

  template <class Make>
  ExprId once(std::optional<RuleId>& rule, const char* name, const Make& make) {
    if (!rule) {
      rule = rules_.add_rule(name);
      rules_.define(*rule, make());
    }
    return rules_.call(*rule);
  }

  GrammarRules& rules_;
  JsonSpace space_;
  std::optional<RuleId> space_rule_, value_rule_, object_rule_, array_rule_, string_rule_,
      number_rule_, integer_rule_;
  std::optional<ExprId> any_name_;  // the content of its quotes
};

}  // namespace nautile
