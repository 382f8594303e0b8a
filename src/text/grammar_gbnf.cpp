#include "text/grammar_gbnf.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/printable.h"
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
      : rules_(rules), text_(text), vocabulary_(vocabulary) {}

  ExprId parse() {
    skip(Lines::cross);
    while (!done()) {
      const std::string name(word("a rule's name"));
      skip(Lines::stay);
      if (!take("::=")) refuse("\"::=\" after the rule's name is expected");
      Rule& rule = rule_named(name);
      if (rule.defined) refuse("the rule \"" + printable(name) + "\" is defined twice");
      rule.defined = true;
      const RuleId id = rule.id;
      skip(Lines::cross);
      rules_.define(id, alternatives(0));
      if (!done() && !at_line_end_) refuse("the end of the line is expected");
      skip(Lines::cross);
    }
    for (const auto& [name, rule] : known_) {
      if (rule.defined) continue;
      at_ = rule.first_used;
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
    const std::string_view before = text_.substr(0, at_);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const std::size_t begin = before.rfind('\n') + 1;  // npos + 1 is 0
    fail(kind, "grammar: line {}, byte {}: {}", line, at_ - begin + 1, reason);
  }
  bool done() const { return at_ == text_.size(); }
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  bool take(std::string_view s) {
    if (text_.substr(at_, s.size()) != s) return false;
    at_ += s.size();
    return true;
  }

  // Blanks and comments; line ends too, where a rule may go on in the next line.
  void skip(Lines lines) {
    at_line_end_ = false;
    while (!done()) {
      if (peek() == '#') {
        while (!done() && peek() != '\n') ++at_;
      } else if (peek() == ' ' || peek() == '\t' || peek() == '\r') {
        ++at_;
      } else if (peek() == '\n' && lines == Lines::cross) {
        ++at_;
      } else {
        break;
      }
    }
    at_line_end_ = done() || peek() == '\n';
  }

  std::string_view word(std::string_view what) {
    const std::size_t begin = at_;
    while (is_word(peek())) ++at_;
    if (at_ == begin) refuse(std::string(what) + " is expected");
    return text_.substr(begin, at_ - begin);
  }

  Rule& rule_named(const std::string& name) {
    const auto [known, added] = known_.try_emplace(name);
    if (added) known->second = {rules_.add_rule(name), false, at_};
    return known->second;
  }

  // At depth 0 a line end ends the rule, unless what follows it is an alternative.
  ExprId alternatives(int depth) {
    if (depth > kMaxDepth) refuse("groups are nested too deep", ErrorKind::unsupported);
    std::vector<ExprId> ways = {sequence(depth)};
    for (;;) {
      const std::size_t before = at_;
      const bool line_end = at_line_end_;
      skip(Lines::cross);
      if (!take("|")) {
        if (depth == 0) {
          at_ = before;
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
      const char c = peek();
      const bool element = c == '"' || c == '[' || c == '(' || c == '.' || c == '<' || is_word(c);
      if (done() || !element || (depth == 0 && begins_rule())) return rules_.seq(parts);
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
    std::size_t at = at_;
    while (at < text_.size() && is_word(text_[at])) ++at;
    if (at == at_) return false;
    while (at < text_.size() && (text_[at] == ' ' || text_[at] == '\t')) ++at;
    return text_.substr(at, 3) == "::=";
  }

  ExprId element_at(int depth) {
    if (take("\"")) return rules_.literal(quoted());
    if (take("[")) return rules_.chars(bracket());
    if (take(".")) return rules_.chars(CharSet::all());
    if (take("<")) return token();
    if (take("(")) {
      skip(Lines::cross);
      const ExprId inner = alternatives(depth + 1);
      skip(Lines::cross);
      if (!take(")")) refuse("')' is expected");
      return inner;
    }
    const std::string name(word("an element"));
    at_ -= name.size();
    const RuleId id = rule_named(name).id;
    at_ += name.size();
    return rules_.call(id);
  }

  std::optional<std::pair<std::uint32_t, std::uint32_t>> repetition() {
    using Counts = std::pair<std::uint32_t, std::uint32_t>;
    if (take("*")) return Counts{0, GrammarRules::kForever};
    if (take("+")) return Counts{1, GrammarRules::kForever};
    if (take("?")) return Counts{0, 1};
    if (!take("{")) return std::nullopt;
    skip(Lines::stay);
    const bool has_least = peek() != ',';
    Counts counts{has_least ? number() : 0, 0};
    counts.second = counts.first;
    skip(Lines::stay);
    if (take(",")) {
      skip(Lines::stay);
      counts.second = peek() == '}' ? GrammarRules::kForever : number();
      skip(Lines::stay);
    }
    if (!take("}")) refuse("'}' is expected");
    if (counts.first > counts.second) refuse("the least count exceeds the most");
    return counts;
  }

  std::uint32_t number() {
    std::uint64_t value = 0;
    if (peek() < '0' || peek() > '9') refuse("a number is expected");
    for (; peek() >= '0' && peek() <= '9'; ++at_) {
      value = value * 10 + static_cast<std::uint64_t>(peek() - '0');
      if (value > GrammarRules::kMaxCount) {
        refuse(fmt::format("a count of more than {}", GrammarRules::kMaxCount),
               ErrorKind::unsupported);
      }
    }
    return static_cast<std::uint32_t>(value);
  }

  std::string quoted() {
    std::string text;
    while (!take("\"")) {
      if (done() || peek() == '\n') refuse("'\"' at the end of the text is expected");
      append_utf8(text, character());
    }
    return text;
  }

  CharSet bracket() {
    const bool negated = take("^");
    CharSet set;
    while (!take("]")) {
      if (done() || peek() == '\n') refuse("']' is expected");
      const char32_t first = character();
      char32_t last = first;
      if (peek() == '-' && peek(1) != ']') {
        ++at_;
        last = character();
      }
      if (first > last) refuse("a range whose ends are in the wrong order");
      set.add(first, last);
    }
    return negated ? set.complement() : set;
  }

  char32_t character() {
    if (!take("\\")) {
      if (done()) refuse("the grammar ends inside of a text");
      const Rune rune = decode_rune(text_.data() + at_);
      at_ += static_cast<std::size_t>(rune.length);
      return rune.code;
    }
    const char c = peek();
    ++at_;
    switch (c) {
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 't':
        return '\t';
      case 'x':
        return hex(2);
      case 'u':
        return hex(4);
      case 'U':
        return hex(8);
      case '\\':
      case '"':
      case '[':
      case ']':
      case '-':
      case '^':
        return static_cast<char32_t>(c);
      default:
        --at_;
        refuse("an unknown escape");
    }
  }

  char32_t hex(int digits) {
    char32_t value = 0;
    for (int i = 0; i < digits; ++i, ++at_) {
      const char c = peek(), lower = static_cast<char>(c | 32);
      if (c >= '0' && c <= '9') {
        value = value * 16 + static_cast<char32_t>(c - '0');
      } else if (lower >= 'a' && lower <= 'f') {
        value = value * 16 + static_cast<char32_t>(lower - 'a' + 10);
      } else {
        refuse("a hexadecimal digit is expected");
      }
    }
    if (value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) refuse("no Unicode character");
    return value;
  }

  // After '<': [id]> or text>.
  ExprId token() {
    if (take("[")) {
      const std::uint32_t id = number();
      if (!take("]>")) refuse("\"]>\" is expected");
      for (const auto& [text, special] : vocabulary_.special()) {
        if (static_cast<std::uint32_t>(special) == id) return rules_.token(special);
      }
      refuse("token " + std::to_string(id) + " is no special token of the vocabulary");
    }
    const std::size_t end = text_.find('>', at_);
    if (end == text_.npos) refuse("'>' is expected");
    const std::string name = "<" + std::string(text_.substr(at_, end - at_ + 1));
    const auto found = vocabulary_.special().find(name);
    if (found == vocabulary_.special().end()) {
      refuse("\"" + printable(name) + "\" is no special token of the vocabulary");
    }
    at_ = end + 1;
    return rules_.token(found->second);
  }

  GrammarRules& rules_;
  std::string_view text_;
  const GrammarVocabulary& vocabulary_;
  std::size_t at_ = 0;
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
