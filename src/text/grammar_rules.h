// grammar_rules.h — the common form of all grammars: named rules of expressions over bytes.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/bpe_vocab.h"
#include "text/char_set.h"

namespace nautile {

using RuleId = std::uint32_t;
using ExprId = std::uint32_t;

// An arena of expressions. Front ends (JSON Schema, GBNF, regular expressions) fill it; GrammarNfa
// reads it. Everything is bounded: Error(unsupported) when there would be more than kMaxExprs.
class GrammarRules {
 public:
  static constexpr std::uint32_t kForever = std::numeric_limits<std::uint32_t>::max();
  static constexpr std::uint32_t kMaxCount = 10'000'000;  // that front ends take in a repetition
  static constexpr std::size_t kMaxExprs = 250'000;

  enum class Kind : std::uint8_t {
    never,    // matches nothing at all
    literal,  // text(); the empty text is the empty match
    chars,    // one character of set(), as UTF-8
    bytes,    // one byte between min and max
    token,    // one special token of the vocabulary, id `min`
    seq,      // children one after another
    alt,      // one of the children
    repeat,   // the one child, min to max times (kForever: no end)
    call,     // rule `min`
  };
  struct Expr {
    Kind kind = Kind::never;
    std::uint32_t first = 0, count = 0;  // children, or the index of a text or set
    std::uint32_t min = 0, max = 0;
  };

  GrammarRules();

  static constexpr ExprId kNever = 0, kEmpty = 1;
  ExprId literal(std::string_view bytes);
  ExprId chars(const CharSet& set);
  ExprId bytes(std::uint8_t first, std::uint8_t last);
  ExprId token(TokenId id);
  ExprId seq(std::span<const ExprId> parts);
  ExprId alt(std::span<const ExprId> parts);
  ExprId seq(std::initializer_list<ExprId> parts) { return seq(std::span(parts)); }
  ExprId alt(std::initializer_list<ExprId> parts) { return alt(std::span(parts)); }
  ExprId repeat(ExprId part, std::uint32_t min, std::uint32_t max);
  ExprId optional(ExprId part) { return repeat(part, 0, 1); }
  ExprId call(RuleId rule);

  // A rule may be called before it is defined; until then it matches nothing.
  RuleId add_rule(std::string name);
  RuleId add_rule(std::string name, ExprId body);
  void define(RuleId rule, ExprId body) { rules_[rule].body = body; }

  const Expr& expr(ExprId id) const { return exprs_[id]; }
  std::span<const ExprId> children(const Expr& e) const {
    return std::span(children_).subspan(e.first, e.count);
  }
  const std::string& text(const Expr& e) const { return texts_[e.first]; }
  const CharSet& set(const Expr& e) const { return sets_[e.first]; }
  std::size_t rule_count() const { return rules_.size(); }
  const std::string& name(RuleId rule) const { return rules_[rule].name; }
  ExprId body(RuleId rule) const { return rules_[rule].body; }

 private:
  struct Rule {
    std::string name;
    ExprId body;
  };
  ExprId add(const Expr& e);
  ExprId list(Kind kind, std::span<const ExprId> parts);

  std::vector<Expr> exprs_;
  std::vector<ExprId> children_;
  std::vector<std::string> texts_;
  std::vector<CharSet> sets_;
  std::map<CharSet, ExprId> known_sets_;
  std::vector<Rule> rules_;
};

}  // namespace nautile
