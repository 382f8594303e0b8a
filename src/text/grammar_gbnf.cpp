#include "text/grammar_gbnf.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/printable.h"
#include "text/char_reader.h"
#include "text/unicode.h"

namespace nautile {
namespace {

constexpr int kMaxDepth = 200;

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

class GbnfParser {
 public:
  GbnfParser(GrammarRules& rules, std::string_view text, const GrammarVocabulary& vocabulary)
      : rules_(rules), in_(text), vocabulary_(vocabulary) {}

  ExprId parse() {
    skip(Lines::cross);
    while (!in_.done()) {
      const std::string name(word("a rule's name"));
      skip(Lines::stay);
      if (!in_.take("::=")) refuse("\"::=\" after the rule's name is expected");
      Rule& rule = rule_named(name);
      if (rule.defined) refuse("the rule \"" + printable(name) + "\" is defined twice");
      rule.defined = true;
      const RuleId id = rule.id;
      skip(Lines::cross);
      rules_.define(id, alternatives(0));
      if (!in_.done() && !at_line_end_) refuse("the end of the line is expected");
      skip(Lines::cross);
    }
    for (const auto& [name, rule] : known_) {
      if (rule.defined) continue;
      in_.go_to(rule.first_used);
      refuse("the rule \"" + printable(name) + "\" is used and not defined");
    }
    const auto root = known_.find("root");
    if (root == known_.end()) refuse("there is no rule \"root\"");
    return rules_.call(root->second.id);
  }

 private:
  struct Rule {
    RuleId id = 0;
    bool defined = false;
    std::size_t first_used = 0;
  };
  enum class Lines : std::uint8_t { stay, cross };

  [[noreturn]] void refuse(const std::string& reason, ErrorKind kind = ErrorKind::bad_input) const {
    const std::string_view before = in_.text().substr(0, in_.at());
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const std::size_t begin = before.rfind('\n') + 1;  // npos + 1 is 0
    fail(kind, "grammar: line {}, byte {}: {}", line, in_.at() - begin + 1, reason);
  }

  // Blanks and comments; line ends too, where a rule may go on in the next line.
  void skip(Lines lines) {
    at_line_end_ = false;
    while (!in_.done()) {
      if (in_.peek() == '#') {
        while (!in_.done() && in_.peek() != '\n') in_.skip();
      } else if (in_.peek() == ' ' || in_.peek() == '\t' || in_.peek() == '\r') {
        in_.skip();
      } else if (in_.peek() == '\n' && lines == Lines::cross) {
        in_.skip();
      } else {
        break;
      }
    }
    at_line_end_ = in_.done() || in_.peek() == '\n';
  }

  std::string_view word(std::string_view what) {
    const std::size_t begin = in_.at();
    while (is_word(in_.peek())) in_.skip();
    if (in_.at() == begin) refuse(std::string(what) + " is expected");
    return in_.text().substr(begin, in_.at() - begin);
  }

  Rule& rule_named(const std::string& name) {
    const auto [known, added] = known_.try_emplace(name);
    if (added) known->second = {rules_.add_rule(name), false, in_.at()};
    return known->second;
  }

  // At depth 0 a line end ends the rule, unless what follows it is an alternative.
  ExprId alternatives(int depth) {
    if (depth > kMaxDepth) refuse("groups are nested too deep", ErrorKind::unsupported);
    std::vector<ExprId> ways = {sequence(depth)};
    for (;;) {
      const std::size_t before = in_.at();
      const bool line_end = at_line_end_;
      skip(Lines::cross);
      if (!in_.take("|")) {
        if (depth == 0) {
          in_.go_to(before);
          at_line_end_ = line_end;
        }
        return rules_.alt(ways);
      }
      skip(Lines::cross);
      ways.push_back(sequence(depth));
    }
  }

  ExprId sequence(int depth) {
    const Lines lines = depth > 0 ? Lines::cross : Lines::stay;
    std::vector<ExprId> parts;
    at_line_end_ = false;
    for (;;) {
      const char c = in_.peek();
      const bool element = c == '"' || c == '[' || c == '(' || c == '.' || c == '<' || is_word(c);
      if (in_.done() || !element || (depth == 0 && begins_rule())) return rules_.seq(parts);
      ExprId part = element_at(depth);
      skip(lines);
      while (const auto counts = repetition()) {
        part = rules_.repeat(part, counts->first, counts->second);
        skip(lines);
      }
      parts.push_back(part);
      if (at_line_end_ && depth == 0) return rules_.seq(parts);
    }
  }

  bool begins_rule() const {
    std::size_t at = in_.at();
    while (at < in_.text().size() && is_word(in_.text()[at])) ++at;
    if (at == in_.at()) return false;
    while (at < in_.text().size() && (in_.text()[at] == ' ' || in_.text()[at] == '\t')) ++at;
    return in_.text().substr(at, 3) == "::=";
  }

  ExprId element_at(int depth) {
    if (in_.take("\"")) return rules_.literal(quoted());
    if (in_.take("[")) return rules_.chars(bracket());
    if (in_.take(".")) return rules_.chars(CharSet::all());
    if (in_.take("<")) return token();
    if (in_.take("(")) {
      skip(Lines::cross);
      const ExprId inner = alternatives(depth + 1);
      skip(Lines::cross);
      if (!in_.take(")")) refuse("')' is expected");
      return inner;
    }
    const std::string name(word("an element"));
    in_.go_to(in_.at() - name.size());
    const RuleId id = rule_named(name).id;
    in_.skip(name.size());
    return rules_.call(id);
  }

  std::optional<std::pair<std::uint32_t, std::uint32_t>> repetition() {
    using Counts = std::pair<std::uint32_t, std::uint32_t>;
    if (in_.take("*")) return Counts{0, GrammarRules::kForever};
    if (in_.take("+")) return Counts{1, GrammarRules::kForever};
    if (in_.take("?")) return Counts{0, 1};
    if (!in_.take("{")) return std::nullopt;
    skip(Lines::stay);
    const bool has_least = in_.peek() != ',';
    Counts counts{has_least ? number() : 0, 0};
    counts.second = counts.first;
    skip(Lines::stay);
    if (in_.take(",")) {
      skip(Lines::stay);
      counts.second = in_.peek() == '}' ? GrammarRules::kForever : number();
      skip(Lines::stay);
    }
    if (!in_.take("}")) refuse("'}' is expected");
    if (counts.first > counts.second) refuse("the least count exceeds the most");
    return counts;
  }

  std::uint32_t number() {
    const auto value = in_.take_number(GrammarRules::kMaxCount);
    if (!value) refuse("a number is expected");
    if (*value > GrammarRules::kMaxCount) {
      refuse(fmt::format("a count of more than {}", GrammarRules::kMaxCount),
             ErrorKind::unsupported);
    }
    return *value;
  }

  std::string quoted() {
    std::string text;
    while (!in_.take("\"")) {
      if (in_.done() || in_.peek() == '\n') refuse("'\"' at the end of the text is expected");
      append_utf8(text, character());
    }
    return text;
  }

  CharSet bracket() {
    const bool negated = in_.take("^");
    CharSet set;
    while (!in_.take("]")) {
      if (in_.done() || in_.peek() == '\n') refuse("']' is expected");
      const char32_t first = character();
      char32_t last = first;
      if (in_.peek() == '-' && in_.peek(1) != ']') {
        in_.skip();
        last = character();
      }
      if (first > last) refuse("a range whose ends are in the wrong order");
      set.add(first, last);
    }
    return negated ? set.complement() : set;
  }

  char32_t character() {
    if (!in_.take("\\")) {
      if (in_.done()) refuse("the grammar ends inside of a text");
      return in_.take_rune();
    }
    const char c = in_.peek();
    if (c == 'n' || c == 'r' || c == 't') return *in_.take_control();
    if (c != '\0' && std::string_view("\\\"[]-^").find(c) != std::string_view::npos) {
      return in_.take_rune();
    }
    if (c != 'x' && c != 'u' && c != 'U') refuse("an unknown escape");
    in_.skip();
    return hex(c == 'x' ? 2 : c == 'u' ? 4 : 8);
  }

  char32_t hex(int digits) {
    const auto value = in_.take_hex(digits);
    if (!value) refuse("a hexadecimal digit is expected");
    if (!is_character(*value)) refuse("no Unicode character");
    return *value;
  }

  // After '<': [id]> or text>.
  ExprId token() {
    if (in_.take("[")) {
      const std::uint32_t id = number();
      if (!in_.take("]>")) refuse("\"]>\" is expected");
      for (const auto& [text, special] : vocabulary_.special()) {
        if (static_cast<std::uint32_t>(special) == id) return rules_.token(special);
      }
      refuse("token " + std::to_string(id) + " is no special token of the vocabulary");
    }
    const std::size_t end = in_.text().find('>', in_.at());
    if (end == std::string_view::npos) refuse("'>' is expected");
    const std::string name = "<" + std::string(in_.text().substr(in_.at(), end - in_.at() + 1));
    const auto found = vocabulary_.special().find(name);
    if (found == vocabulary_.special().end()) {
      refuse("\"" + printable(name) + "\" is no special token of the vocabulary");
    }
    in_.go_to(end + 1);
    return rules_.token(found->second);
  }

  GrammarRules& rules_;
  CharReader in_;
  const GrammarVocabulary& vocabulary_;
  bool at_line_end_ = false;
  std::map<std::string, Rule> known_;
};

}  // namespace

ExprId add_gbnf(GrammarRules& rules, std::string_view text, const GrammarVocabulary& vocabulary) {
  if (text.size() > kMaxGbnfBytes) {
    fail(ErrorKind::unsupported, "a grammar of {} bytes; at most {} are read", text.size(),
         kMaxGbnfBytes);
  }
  NAUTILE_CHECK(valid_utf8_prefix(text) == text.size(), "grammar: not UTF-8 at byte {}",
                valid_utf8_prefix(text));
  return GbnfParser(rules, text, vocabulary).parse();
}

}  // namespace nautile
