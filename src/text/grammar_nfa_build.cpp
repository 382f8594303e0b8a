// grammar_nfa_build.cpp — rules become a network of nodes over bytes.
#include <algorithm>
#include <map>
#include <utility>

#include "base/error.h"
#include "text/grammar_nfa.h"
#include "text/unicode.h"

namespace nautile {
namespace {

constexpr std::size_t kMaxNodes = 2'000'000;
constexpr std::size_t kMaxCopies = 2048;   // nodes of a repetition that is written out
constexpr std::size_t kInlineRanges = 16;  // a set of more ranges becomes a rule

}  // namespace

// Builds from the end of a rule to its start, so that targets are known when nodes are made.
class GrammarNfa::Builder {
 public:
  Builder(GrammarNfa& nfa, const GrammarRules& rules) : nfa_(nfa), rules_(rules) {
    nfa_.nodes_.push_back({});  // kEnd
    for (RuleId rule = 0; rule < rules.rule_count(); ++rule) nfa_.starts_.push_back(kEnd);
    for (RuleId rule = 0; rule < rules.rule_count(); ++rule) {
      nfa_.starts_[rule] = build(rules.body(rule), kEnd);
    }
  }

 private:
  using Kind = GrammarRules::Kind;
  using Expr = GrammarRules::Expr;

  NodeId add(const Node& node) {
    if (nfa_.nodes_.size() >= kMaxNodes) {
      fail(ErrorKind::unsupported, "the grammar comes to more than {} states", kMaxNodes);
    }
    nfa_.nodes_.push_back(node);
    return static_cast<NodeId>(nfa_.nodes_.size() - 1);
  }

  NodeId read(std::span<const Edge> edges) {
    const auto begin = static_cast<std::uint32_t>(nfa_.edges_.size());
    nfa_.edges_.insert(nfa_.edges_.end(), edges.begin(), edges.end());
    return add({GrammarNfa::Kind::read, begin, static_cast<std::uint32_t>(nfa_.edges_.size())});
  }
  NodeId read(Symbol first, Symbol last, NodeId next) {
    const Edge edge{first, last, next};
    return read(std::span(&edge, 1));
  }

  void set_targets(NodeId fork, std::span<const NodeId> targets) {
    const auto begin = static_cast<std::uint32_t>(nfa_.targets_.size());
    nfa_.targets_.insert(nfa_.targets_.end(), targets.begin(), targets.end());
    nfa_.nodes_[fork] = {GrammarNfa::Kind::fork, begin,
                         static_cast<std::uint32_t>(nfa_.targets_.size())};
  }
  NodeId fork(std::span<const NodeId> targets) {
    const NodeId id = add({});
    set_targets(id, targets);
    return id;
  }

  NodeId call(RuleId rule, NodeId next) { return add({GrammarNfa::Kind::call, rule, next}); }

  NodeId build(ExprId id, NodeId next) {
    const Expr e = rules_.expr(id);
    switch (e.kind) {
      case Kind::never:
        return fork({});
      case Kind::literal: {
        const std::string& text = rules_.text(e);
        for (auto byte = text.rbegin(); byte != text.rend(); ++byte) {
          next = read(static_cast<std::uint8_t>(*byte), static_cast<std::uint8_t>(*byte), next);
        }
        return next;
      }
      case Kind::chars:
        return chars(id, rules_.set(e), next);
      case Kind::bytes:
        return read(static_cast<Symbol>(e.min), static_cast<Symbol>(e.max), next);
      case Kind::token: {
        const Symbol symbol = symbol_of(static_cast<TokenId>(e.min));
        return read(symbol, symbol, next);
      }
      case Kind::seq: {
        const auto parts = rules_.children(e);
        for (auto part = parts.rbegin(); part != parts.rend(); ++part) next = build(*part, next);
        return next;
      }
      case Kind::alt:
        return alternatives(rules_.children(e), next);
      case Kind::repeat:
        return repeat(e, next);
      case Kind::call:
        return call(e.min, next);
    }
    return kEnd;
  }

  // Literals among them become one trie, so that thousands stay cheap.
  NodeId alternatives(std::span<const ExprId> parts, NodeId next) {
    std::vector<NodeId> targets;
    std::vector<std::string_view> texts;
    for (const ExprId part : parts) {
      const Expr& e = rules_.expr(part);
      if (e.kind == Kind::literal) {
        texts.push_back(rules_.text(e));
      } else {
        targets.push_back(build(part, next));
      }
    }
    std::sort(texts.begin(), texts.end());
    texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
    if (!texts.empty()) targets.push_back(trie(texts, 0, next));
    return targets.size() == 1 ? targets[0] : fork(targets);
  }

  // Sorted texts that agree on their first `depth` bytes.
  NodeId trie(std::span<const std::string_view> texts, std::size_t depth, NodeId next) {
    std::size_t same = depth;  // where they part
    const std::string_view first = texts.front(), last = texts.back();
    while (same < first.size() && same < last.size() && first[same] == last[same]) ++same;
    NodeId node = next;
    if (texts.size() == 1) {
      same = first.size();
    } else {
      std::vector<Edge> edges;
      std::size_t from = first.size() == same ? 1 : 0;
      const bool ends = from == 1;
      while (from < texts.size()) {
        std::size_t to = from + 1;
        while (to < texts.size() && texts[to][same] == texts[from][same]) ++to;
        const auto byte = static_cast<std::uint8_t>(texts[from][same]);
        edges.push_back({byte, byte, trie(texts.subspan(from, to - from), same + 1, next)});
        from = to;
      }
      node = read(edges);
      const NodeId targets[] = {node, next};
      if (ends) node = fork(targets);
    }
    for (std::size_t i = same; i-- > depth;) {
      const auto byte = static_cast<std::uint8_t>(first[i]);
      node = read(byte, byte, node);
    }
    return node;
  }

  NodeId star(ExprId part, NodeId next) {
    const NodeId loop = add({});
    const NodeId body = build(part, loop);
    const NodeId targets[] = {body, next};
    set_targets(loop, targets);
    return loop;
  }

  NodeId repeat(const Expr& e, NodeId next) {
    const ExprId part = rules_.children(e)[0];
    const std::uint32_t counted = e.max == GrammarRules::kForever ? e.min : e.max;
    if (e.max == GrammarRules::kForever) next = star(part, next);
    if (counted == 0) return next;
    const NodeId exit = next;
    const bool may_stop = e.max != GrammarRules::kForever;
    const auto copy = [&](std::uint32_t i, NodeId after) {
      const NodeId targets[] = {build(part, after), exit};
      return may_stop && i >= e.min ? fork(targets) : targets[0];
    };
    if (counted == 1) return copy(0, next);
    // Built as a rule it tells how many nodes copies would take.
    const std::size_t before = nfa_.nodes_.size();
    const RuleId rule = add_rule([&] { return build(part, kEnd); });
    if ((nfa_.nodes_.size() - before) * counted > kMaxCopies) {
      return region(may_stop ? e.min : counted, counted, rule, exit);
    }
    for (std::uint32_t i = counted; i-- > 0;) next = copy(i, next);
    return next;
  }

  template <class Body>
  RuleId add_rule(const Body& body) {
    const auto rule = static_cast<RuleId>(nfa_.starts_.size());
    nfa_.starts_.push_back(kEnd);
    const NodeId start = body();
    nfa_.starts_[rule] = start;
    return rule;
  }

  NodeId region(std::uint32_t min, std::uint32_t max, RuleId rule, NodeId exit) {
    const NodeId first = next_step_;
    if (max > ~NodeId{0} - first - 1) {
      fail(ErrorKind::unsupported, "the grammar's counted repetitions come to more than {} steps",
           ~NodeId{0} - kFirstStep);
    }
    next_step_ += max + 1;
    nfa_.regions_.push_back({first, min, max, rule, exit});
    return first;
  }

  NodeId chars(ExprId id, const CharSet& set, NodeId next) {
    if (set.ranges().size() <= kInlineRanges) return utf8(set, next);
    const auto [known, added] = set_rules_.try_emplace(id, RuleId{0});
    if (added) known->second = add_rule([&] { return utf8(set, kEnd); });
    return call(known->second, next);
  }

  // A node that reads one character of the set and goes on at `next`.
  NodeId utf8(const CharSet& set, NodeId next) {
    tails_.assign(4, kEnd);
    tails_[0] = next;
    tails_known_ = 1;
    std::vector<Edge> edges;
    for (const CharSet::Range& range : set.ranges()) {
      char32_t first = range.first;
      for (const char32_t last : {char32_t{0x7F}, char32_t{0x7FF}, char32_t{0xFFFF}, range.last}) {
        if (first > range.last) break;
        if (first > last) continue;
        same_length(first, std::min(last, range.last), edges);
        first = std::min(last, range.last) + 1;
      }
    }
    return read(edges);
  }

  // A node that reads n continuation bytes of any value, then goes on.
  NodeId tail(std::size_t n) {
    while (tails_known_ <= n) {
      tails_[tails_known_] = read(0x80, 0xBF, tails_[tails_known_ - 1]);
      ++tails_known_;
    }
    return tails_[n];
  }

  // Edges for characters whose UTF-8 has one length.
  void same_length(char32_t first, char32_t last, std::vector<Edge>& edges) {
    std::string a, b;
    append_utf8(a, first);
    append_utf8(b, last);
    bytes_between(a, b, edges);
  }

  void bytes_between(std::string_view a, std::string_view b, std::vector<Edge>& edges) {
    const auto low = static_cast<std::uint8_t>(a[0]), high = static_cast<std::uint8_t>(b[0]);
    const std::string_view rest_a = a.substr(1), rest_b = b.substr(1);
    const bool from_least = rest_a.find_first_not_of('\x80') == rest_a.npos;
    const bool to_most = rest_b.find_first_not_of('\xBF') == rest_b.npos;
    if (from_least && to_most) {
      edges.push_back({low, high, tail(rest_a.size())});
      return;
    }
    if (low == high) {
      std::vector<Edge> inner;
      bytes_between(rest_a, rest_b, inner);
      edges.push_back({low, low, read(inner)});
      return;
    }
    std::vector<Edge> inner;
    if (!from_least) {
      bytes_between(rest_a, std::string(rest_a.size(), '\xBF'), inner);
      edges.push_back({low, low, read(inner)});
    }
    const auto middle_low = static_cast<Symbol>(low + (from_least ? 0 : 1));
    const auto middle_high = static_cast<Symbol>(high - (to_most ? 0 : 1));
    if (middle_low <= middle_high) {
      edges.push_back({middle_low, middle_high, tail(rest_a.size())});
    }
    if (!to_most) {
      inner.clear();
      bytes_between(std::string(rest_b.size(), '\x80'), rest_b, inner);
      edges.push_back({high, high, read(inner)});
    }
  }

  Symbol symbol_of(TokenId id) {
    auto& tokens = nfa_.tokens_;
    auto found = std::find(tokens.begin(), tokens.end(), id);
    if (found == tokens.end()) {
      if (tokens.size() >= 4096) fail(ErrorKind::unsupported, "more than 4096 special tokens");
      found = tokens.insert(tokens.end(), id);
    }
    return static_cast<Symbol>(256 + (found - tokens.begin()));
  }

  GrammarNfa& nfa_;
  const GrammarRules& rules_;
  std::map<ExprId, RuleId> set_rules_;
  std::vector<NodeId> tails_;
  std::size_t tails_known_ = 0;
  NodeId next_step_ = kFirstStep;
};

void GrammarNfa::build(const GrammarRules& rules) {
  Builder builder(*this, rules);
}

}  // namespace nautile
