// grammar_nfa.h — rules as a network of nodes over bytes, with calls: the automaton before it runs.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "text/grammar_rules.h"
#include "text/grammar_vocabulary.h"

namespace nautile {

using NodeId = std::uint32_t;
// What an edge is labelled with: a byte, or 256 + an index into GrammarNfa::tokens().
using Symbol = std::uint16_t;

// One network per grammar and vocabulary. A node reads a symbol, forks, calls a rule and goes on at
// another node, or ends its rule. Counted repetition needs no copies: the ids of a Region's steps
// are numbers only.
//
// Every node knows its shortest text to the end of its rule, in symbols; nodes that can never get
// there, for want of a text or of a token for some byte, are never entered.
class GrammarNfa {
 public:
  enum class Kind : std::uint8_t { end, read, fork, call, step };
  struct Edge {
    Symbol first, last;
    NodeId target;
  };
  // read: edges; fork: targets; call: rule and where to go on.
  struct Node {
    Kind kind = Kind::end;
    std::uint32_t a = 0, b = 0;
  };
  // Steps first .. first + max: at step i the rule has been matched i times.
  struct Region {
    NodeId first;
    std::uint32_t min, max;
    RuleId rule;
    NodeId exit;
  };
  static constexpr NodeId kFirstStep = NodeId{1} << 28;
  static constexpr NodeId kEnd = 0;  // the end of whatever rule
  static constexpr std::uint32_t kUnreachable = 0xFFFFFFFF;

  // Throws Error(bad_input): left recursion, no text at all; Error(unsupported): too large.
  GrammarNfa(const GrammarRules& rules, RuleId root, const GrammarVocabulary& vocabulary);

  NodeId start(RuleId rule) const { return starts_[rule]; }
  RuleId root() const { return root_; }
  Node node(NodeId id) const { return id < kFirstStep ? nodes_[id] : Node{Kind::step, id, 0}; }
  std::span<const Edge> edges(const Node& n) const {
    return std::span(edges_).subspan(n.a, n.b - n.a);
  }
  std::span<const NodeId> targets(const Node& n) const {
    return std::span(targets_).subspan(n.a, n.b - n.a);
  }
  const Region& region_of(NodeId step) const;
  bool has_regions() const { return !regions_.empty(); }
  const std::vector<TokenId>& tokens() const { return tokens_; }

  // Symbols of the shortest text from a node to the end of its rule, or kUnreachable.
  std::uint32_t shortest(NodeId id) const;
  bool nullable(RuleId rule) const { return shortest(starts_[rule]) == 0; }
  bool reachable(NodeId id) const { return shortest(id) != kUnreachable; }
  // Rules in an order in which one that may begin with another comes before it.
  std::uint32_t rank(RuleId rule) const { return ranks_[rule]; }

  // Symbols that no edge tells apart have one class; class 0 is read by none.
  std::uint16_t class_count() const { return class_count_; }
  std::uint16_t class_of(Symbol symbol) const { return classes_[symbol]; }
  // The smallest symbol of a class.
  Symbol representative(std::uint16_t c) const { return representatives_[c]; }
  std::size_t bytes() const {
    return nodes_.size() * sizeof(Node) + edges_.size() * sizeof(Edge) +
           (targets_.size() + shortest_.size()) * sizeof(NodeId);
  }

 private:
  class Builder;
  void build(const GrammarRules& rules);
  void compute_shortest(const GrammarVocabulary& vocabulary);
  void compute_ranks(const GrammarRules& rules);
  void compute_classes(const GrammarVocabulary& vocabulary);
  std::vector<RuleId> begins_with(RuleId rule) const;
  std::uint32_t element(NodeId id) const;

  RuleId root_;
  std::vector<Node> nodes_;
  std::vector<Edge> edges_;
  std::vector<NodeId> targets_;
  std::vector<Region> regions_;
  std::vector<NodeId> starts_;  // per rule
  std::vector<TokenId> tokens_;
  std::vector<std::uint32_t> shortest_;  // per node, then per region at its first step
  std::vector<std::uint32_t> ranks_;
  std::vector<std::uint16_t> classes_;  // per symbol
  std::vector<Symbol> representatives_;
  std::uint16_t class_count_ = 1;
};

}  // namespace nautile
