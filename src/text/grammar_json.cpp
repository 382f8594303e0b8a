#include "text/grammar_json.h"

#include <algorithm>

#include "text/unicode.h"

namespace nautile {
namespace {

constexpr std::uint32_t kWholeDigits = 18, kFractionDigits = 17, kExponentDigits = 2;

// What stands for itself in a string.
const CharSet& unescaped() {
  static const CharSet kSet = CharSet::all() - CharSet(0, 0x1F) - CharSet::of("\"\\");
  return kSet;
}

// The one escape of a character that has to be escaped.
std::string escape_of(char32_t c) {
  std::string text(1, static_cast<char>(c));
  text = nlohmann::json(text).dump();
  return text.substr(1, text.size() - 2);
}

}  // namespace

ExprId JsonParts::digits(std::uint32_t min, std::uint32_t max) {
  return rules_.repeat(rules_.bytes('0', '9'), min, max);
}

ExprId JsonParts::space() {
  if (space_ == JsonSpace::compact) return GrammarRules::kEmpty;
  return once(space_rule_, "space", [&] {
    const ExprId blank = rules_.alt({rules_.bytes(' ', ' '), rules_.bytes('\t', '\t')});
    const ExprId lines = rules_.repeat(rules_.bytes('\n', '\n'), 1, 2);
    return rules_.alt({GrammarRules::kEmpty, rules_.literal(" "),
                       rules_.seq({lines, rules_.repeat(blank, 0, kMaxIndent)})});
  });
}

ExprId JsonParts::colon() {
  if (space_ == JsonSpace::compact) return rules_.literal(":");
  return rules_.seq({rules_.literal(":"), rules_.optional(rules_.literal(" "))});
}

ExprId JsonParts::bracketed(char open, ExprId content, char close) {
  return rules_.seq({rules_.literal(std::string(1, open)), space(), content,
                     rules_.literal(std::string(1, close))});
}

ExprId JsonParts::any_value() {
  return once(value_rule_, "any value", [&] {
    return rules_.alt({object(), array(), string(), number(), rules_.literal("true"),
                       rules_.literal("false"), rules_.literal("null")});
  });
}

ExprId JsonParts::object() {
  return once(object_rule_, "any object", [&] {
    const ExprId member = rules_.seq({string(), colon(), any_value()});
    const ExprId more = rules_.seq({rules_.literal(","), space(), member});
    const ExprId members =
        rules_.seq({member, rules_.repeat(more, 0, GrammarRules::kForever), space()});
    return bracketed('{', rules_.optional(members), '}');
  });
}

ExprId JsonParts::array() {
  return once(array_rule_, "any array", [&] {
    const ExprId more = rules_.seq({rules_.literal(","), space(), any_value()});
    const ExprId items =
        rules_.seq({any_value(), rules_.repeat(more, 0, GrammarRules::kForever), space()});
    return bracketed('[', rules_.optional(items), ']');
  });
}

ExprId JsonParts::quoted(ExprId content) {
  return rules_.seq({rules_.literal("\""), content, rules_.literal("\"")});
}

ExprId JsonParts::string(std::uint32_t min_chars, std::uint32_t max_chars) {
  if (min_chars > 0 || max_chars != GrammarRules::kForever) {
    return quoted(rules_.repeat(character(), min_chars, max_chars));
  }
  return once(string_rule_, "string",
              [&] { return quoted(rules_.repeat(character(), 0, GrammarRules::kForever)); });
}

ExprId JsonParts::character() {
  const auto one_of = [&](std::string_view set) { return rules_.chars(CharSet::of(set)); };
  const ExprId hex = one_of("0123456789abcdefABCDEF");
  const ExprId hex2 = rules_.repeat(hex, 2, 2);
  // U+D800 to U+DFFF only as pairs.
  const ExprId single = rules_.alt({rules_.seq({one_of("0123456789abcefABCEF"), hex, hex2}),
                                    rules_.seq({one_of("dD"), one_of("01234567"), hex2})});
  const ExprId pair = rules_.seq({one_of("dD"), one_of("89abAB"), hex2, rules_.literal("\\u"),
                                  one_of("dD"), one_of("cdefCDEF"), hex2});
  const ExprId escaped = rules_.alt(
      {one_of("\"\\/bfnrt"), rules_.seq({rules_.literal("u"), rules_.alt({single, pair})})});
  return rules_.alt({rules_.chars(unescaped()), rules_.seq({rules_.literal("\\"), escaped})});
}

ExprId JsonParts::characters(const CharSet& set) {
  std::vector<ExprId> ways = {rules_.chars(set & unescaped())};
  const CharSet escaped = set - unescaped();
  for (const CharSet::Range& range : escaped.ranges()) {
    for (char32_t c = range.first; c <= range.last; ++c)
      ways.push_back(rules_.literal(escape_of(c)));
  }
  return rules_.alt(ways);
}

ExprId JsonParts::integer() {
  return once(integer_rule_, "integer", [&] {
    const ExprId whole = rules_.seq({rules_.bytes('1', '9'), digits(0, kWholeDigits - 1)});
    return rules_.alt(
        {rules_.literal("0"), rules_.seq({rules_.optional(rules_.literal("-")), whole})});
  });
}

ExprId JsonParts::number() {
  return once(number_rule_, "number", [&] {
    const ExprId whole = rules_.alt(
        {rules_.literal("0"), rules_.seq({rules_.bytes('1', '9'), digits(0, kWholeDigits - 1)})});
    const ExprId fraction = rules_.seq({rules_.literal("."), digits(1, kFractionDigits)});
    const ExprId sign = rules_.optional(rules_.chars(CharSet::of("+-")));
    const ExprId exponent =
        rules_.seq({rules_.chars(CharSet::of("eE")), sign, digits(1, kExponentDigits)});
    return rules_.seq({rules_.optional(rules_.literal("-")), whole, rules_.optional(fraction),
                       rules_.optional(exponent)});
  });
}

ExprId JsonParts::name_except(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return quoted(name_rest(names, 0));
}

// The rest of a name whose first `depth` bytes are those that all of `names` begin with.
ExprId JsonParts::name_rest(std::span<const std::string> names, std::size_t depth) {
  constexpr std::size_t kDeepest = 200;
  if (!any_name_) {
    any_name_ = rules_.repeat(characters(CharSet::all()), 0, GrammarRules::kForever);
  }
  if (names.empty()) return *any_name_;
  if (depth > kDeepest) return GrammarRules::kNever;  // leave out all that begin as those do
  std::vector<ExprId> ways;
  const bool one_ends = names[0].size() == depth;
  if (!one_ends) ways.push_back(GrammarRules::kEmpty);
  CharSet met;
  for (std::size_t from = one_ends ? 1 : 0; from < names.size();) {
    const Rune rune = decode_rune(names[from].data() + depth);
    const auto length = static_cast<std::size_t>(rune.length);
    const std::string_view bytes = std::string_view(names[from]).substr(depth, length);
    std::size_t to = from + 1;
    while (to < names.size() && names[to].compare(depth, length, bytes) == 0) ++to;
    const CharSet one(rune.code, rune.code);
    met.add(one);
    ways.push_back(
        rules_.seq({characters(one), name_rest(names.subspan(from, to - from), depth + length)}));
    from = to;
  }
  ways.push_back(rules_.seq({characters(met.complement()), *any_name_}));
  return rules_.alt(ways);
}

ExprId JsonParts::constant(const nlohmann::ordered_json& value) {
  if (!value.is_structured()) return rules_.literal(value.dump());
  const bool object = value.is_object();
  std::vector<ExprId> parts;
  for (const auto& [name, member] : value.items()) {
    if (!parts.empty()) {
      parts.push_back(rules_.literal(","));
      parts.push_back(space());
    }
    if (object) {
      parts.push_back(rules_.literal(nlohmann::json(name).dump()));
      parts.push_back(colon());
    }
    parts.push_back(constant(member));
  }
  if (!parts.empty()) parts.push_back(space());
  return bracketed(object ? '{' : '[', rules_.seq(parts), object ? '}' : ']');
}

}  // namespace nautile
