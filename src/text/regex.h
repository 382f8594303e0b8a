// regex.h — regular expressions: ECMA-262's syntax, but for what is no regular language.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "text/char_dfa.h"
#include "text/char_set.h"
#include "text/grammar_rules.h"

namespace nautile {

// Understood: characters, ., classes with ranges and negation, \d \D \w \W \s \S, \t \n \v \f \r \0
// \cX \xHH \uHHHH \u{H…}, \p{…} and \P{…} of L Lu Ll M N P S, groups (also (?:…) and (?<name>…)),
// alternation, * + ? {n} {n,} {n,m} and their lazy forms, ^ and $ outside of repetitions.
// Look-around, back references and \b are refused. Characters on which engines differ are left out
// of \d \D \w \W \s \S and '.': what matches here matches in ECMA-262 and in Python.
class Regex {
 public:
  static constexpr std::size_t kMaxBytes = 16'384;
  static constexpr int kMaxDepth = 200;

  // Throws Error(bad_input) with the place, Error(unsupported) naming what is refused.
  explicit Regex(std::string_view pattern);

  enum class Match : std::uint8_t {
    whole,  // the expression is the whole text
    part,   // it is found somewhere in the text, as JSON Schema's `pattern` means
  };
  // encode makes an expression of a set of characters.
  template <class Encode>
  ExprId add_to(GrammarRules& rules, Match match, const Encode& encode) const {
    return expr(rules, language(match), encode);
  }
  // Throws Error(unsupported) where it takes too many states.
  CharDfa dfa(Match match) const;

 private:
  friend class RegexParser;
  using NodeId = std::uint32_t;
  enum class Kind : std::uint8_t { never, empty, chars, seq, alt, repeat, begin, end };
  struct Node {
    Kind kind = Kind::never;
    CharSet set = {};
    std::vector<NodeId> parts = {};
    std::uint32_t min = 0, max = 0;
    bool nullable = false, anchored = false;  // an anchor is in it
  };
  // What needs to stand at the text's border, and what needs not.
  struct Split {
    NodeId at_border, anywhere;
  };

  static constexpr NodeId kNever = 0, kEmpty = 1;
  NodeId parse(std::string_view pattern) const;  // regex_parser.cpp
  NodeId add(Node node) const;
  NodeId chars(CharSet set) const;
  NodeId seq(std::vector<NodeId> parts) const;
  NodeId alt(std::vector<NodeId> parts) const;
  NodeId repeat(NodeId part, std::uint32_t min, std::uint32_t max) const;
  Split split(NodeId id, Kind anchor) const;
  NodeId language(Match match) const;

  template <class Encode>
  ExprId expr(GrammarRules& rules, NodeId id, const Encode& encode) const {
    const Node& n = nodes_[id];
    std::vector<ExprId> parts;
    for (const NodeId part : n.parts) parts.push_back(expr(rules, part, encode));
    switch (n.kind) {
      case Kind::empty:
        return GrammarRules::kEmpty;
      case Kind::chars:
        return encode(n.set);
      case Kind::seq:
        return rules.seq(parts);
      case Kind::alt:
        return rules.alt(parts);
      case Kind::repeat:
        return rules.repeat(parts[0], n.min, n.max);
      default:
        return GrammarRules::kNever;
    }
  }

  mutable std::vector<Node> nodes_;
  NodeId root_ = kNever;
};

}  // namespace nautile
