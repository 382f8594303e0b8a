#include "text/grammar_nfa.h"

#include <algorithm>
#include <functional>
#include <map>
#include <queue>
#include <unordered_set>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "text/unicode.h"

namespace nautile {
namespace {

constexpr std::size_t kMaxNodes = 2'000'000;
constexpr std::uint32_t kLongest = 1u << 16;    // a longer shortest text counts as none
constexpr std::size_t kMaxCopies = 2048;        // nodes of a repetition that is written out
constexpr std::size_t kMaxBeginnings = 20'000;  // nodes entered before a rule reads anything
constexpr std::size_t kInlineRanges = 16;       // a set of more ranges becomes a rule

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

GrammarNfa::GrammarNfa(const GrammarRules& rules, RuleId root, const GrammarVocabulary& vocabulary)
    : root_(root) {
  Builder builder(*this, rules);
  compute_classes(vocabulary);
  compute_shortest(vocabulary);
  if (!reachable(starts_[root])) {
    fail(ErrorKind::bad_input,
         "the grammar matches no text of at most {} bytes that this vocabulary can spell",
         kLongest);
  }
  compute_ranks(rules);
}

const GrammarNfa::Region& GrammarNfa::region_of(NodeId step) const {
  const auto after = std::upper_bound(regions_.begin(), regions_.end(), step,
                                      [](NodeId id, const Region& r) { return id < r.first; });
  return *std::prev(after);
}

std::uint32_t GrammarNfa::element(NodeId id) const {
  if (id < kFirstStep) return id;
  return static_cast<std::uint32_t>(nodes_.size() +
                                    static_cast<std::size_t>(&region_of(id) - regions_.data()));
}

std::uint32_t GrammarNfa::shortest(NodeId id) const {
  if (id < kFirstStep) return shortest_[id];
  const Region& region = region_of(id);
  const std::uint32_t exit = shortest_[element(region.exit)];
  const std::uint32_t done = id - region.first;
  if (exit == kUnreachable || done >= region.min) return exit;
  const std::uint32_t one = shortest_[element(starts_[region.rule])];
  if (one == kUnreachable) return kUnreachable;
  const std::uint64_t sum = std::uint64_t{one} * (region.min - done) + exit;
  return sum > kLongest ? kUnreachable : static_cast<std::uint32_t>(sum);
}

// Knuth's generalisation of Dijkstra's algorithm: elements are settled in order of their lengths.
void GrammarNfa::compute_shortest(const GrammarVocabulary& vocabulary) {
  const std::size_t count = nodes_.size() + regions_.size();
  shortest_.assign(count, kUnreachable);
  // Per element, those whose length follows from it.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> uses;
  for (NodeId id = 0; id < nodes_.size(); ++id) {
    const Node& n = nodes_[id];
    if (n.kind == Kind::read) {
      for (const Edge& edge : edges(n)) {
        bool spelled = edge.first >= 256;
        for (Symbol s = edge.first; !spelled && s <= edge.last; ++s) {
          spelled = vocabulary.spells(static_cast<std::uint8_t>(s));
        }
        if (spelled) uses.emplace_back(element(edge.target), id);
      }
    } else if (n.kind == Kind::fork) {
      for (const NodeId target : targets(n)) uses.emplace_back(element(target), id);
    } else if (n.kind == Kind::call) {
      uses.emplace_back(element(starts_[n.a]), id);
      uses.emplace_back(element(n.b), id);
    }
  }
  for (std::size_t i = 0; i < regions_.size(); ++i) {
    const auto id = static_cast<std::uint32_t>(nodes_.size() + i);
    uses.emplace_back(element(regions_[i].exit), id);
    uses.emplace_back(element(starts_[regions_[i].rule]), id);
  }
  std::sort(uses.begin(), uses.end());
  std::vector<std::size_t> begin(count + 1);
  for (const auto& use : uses) ++begin[use.first + 1];
  for (std::size_t i = 0; i < count; ++i) begin[i + 1] += begin[i];

  using Item = std::pair<std::uint32_t, std::uint32_t>;  // length, element
  std::priority_queue<Item, std::vector<Item>, std::greater<>> queue;
  queue.emplace(0, kEnd);
  // The length of a user of `element`, as far as it is known.
  const auto length = [&](std::uint32_t user, std::uint32_t from) -> std::uint32_t {
    if (user >= nodes_.size()) return shortest(regions_[user - nodes_.size()].first);
    const Node& n = nodes_[user];
    if (n.kind == Kind::read) return shortest_[from] + 1;
    if (n.kind == Kind::fork) return shortest_[from];
    const std::uint32_t rule = shortest_[element(starts_[n.a])], after = shortest_[element(n.b)];
    if (rule == kUnreachable || after == kUnreachable) return kUnreachable;
    return rule + after;
  };
  while (!queue.empty()) {
    const auto [value, id] = queue.top();
    queue.pop();
    if (shortest_[id] != kUnreachable || value > kLongest) continue;
    shortest_[id] = value;
    for (std::size_t i = begin[id]; i < begin[id + 1]; ++i) {
      const std::uint32_t user = uses[i].second;
      if (shortest_[user] != kUnreachable) continue;
      const std::uint32_t candidate = length(user, id);
      if (candidate != kUnreachable) queue.emplace(candidate, user);
    }
  }
}

// The rules that may be called before the rule has read anything.
std::vector<RuleId> GrammarNfa::begins_with(RuleId rule) const {
  std::vector<RuleId> found;
  std::vector<NodeId> open = {starts_[rule]};
  std::unordered_set<NodeId> seen;
  const auto visit = [&](NodeId id) {
    if (reachable(id)) open.push_back(id);
  };
  while (!open.empty()) {
    const NodeId id = open.back();
    open.pop_back();
    if (!seen.insert(id).second) continue;
    if (seen.size() > kMaxBeginnings)
      fail(ErrorKind::unsupported, "too many ways to begin one rule");
    const Node n = node(id);
    const auto enter = [&](RuleId callee, NodeId after) {
      if (!reachable(starts_[callee]) || !reachable(after)) return;
      found.push_back(callee);
      if (nullable(callee)) visit(after);
    };
    if (n.kind == Kind::fork) {
      for (const NodeId target : targets(n)) visit(target);
    } else if (n.kind == Kind::call) {
      enter(n.a, n.b);
    } else if (n.kind == Kind::step) {
      const Region& region = region_of(id);
      if (id - region.first >= region.min) visit(region.exit);
      if (id - region.first < region.max) enter(region.rule, id + 1);
    }
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

void GrammarNfa::compute_ranks(const GrammarRules& rules) {
  enum class Mark : std::uint8_t { fresh, open, done };
  struct Visit {
    RuleId rule;
    std::vector<RuleId> callees;
    std::size_t next = 0;
  };
  std::vector<Mark> marks(starts_.size(), Mark::fresh);
  ranks_.assign(starts_.size(), 0);
  auto rank = static_cast<std::uint32_t>(starts_.size());
  for (RuleId first = 0; first < starts_.size(); ++first) {
    if (marks[first] != Mark::fresh) continue;
    std::vector<Visit> path;
    path.push_back({first, begins_with(first)});
    marks[first] = Mark::open;
    while (!path.empty()) {
      Visit& top = path.back();
      if (top.next == top.callees.size()) {
        marks[top.rule] = Mark::done;
        ranks_[top.rule] = --rank;
        path.pop_back();
        continue;
      }
      const RuleId callee = top.callees[top.next++];
      if (marks[callee] == Mark::done) continue;
      if (marks[callee] == Mark::open) {
        std::string cycle;
        bool inside = false;
        for (const Visit& visit : path) {
          inside = inside || visit.rule == callee;
          if (inside && visit.rule < rules.rule_count()) cycle += rules.name(visit.rule) + " -> ";
        }
        const RuleId named = callee < rules.rule_count() ? callee : path.front().rule;
        throw make_error(ErrorKind::bad_input,
                         "left recursion: a rule calls itself before it has read anything: {}{}",
                         printable(cycle, 200),
                         named < rules.rule_count() ? rules.name(named) : "…")
            .hint("write it as a repetition, or put the recursive call last");
      }
      marks[callee] = Mark::open;
      path.push_back({callee, begins_with(callee)});
    }
  }
}

void GrammarNfa::compute_classes(const GrammarVocabulary& vocabulary) {
  std::vector<bool> cuts(257 + tokens_.size(), true);
  for (Symbol s = 1; s < 256; ++s) {
    cuts[s] = vocabulary.spells(static_cast<std::uint8_t>(s)) !=
              vocabulary.spells(static_cast<std::uint8_t>(s - 1));
  }
  std::vector<int> depth(257 + tokens_.size());
  for (const Edge& edge : edges_) {
    cuts[edge.first] = cuts[edge.last + 1u] = true;
    ++depth[edge.first];
    --depth[edge.last + 1u];
  }
  classes_.assign(256 + tokens_.size(), 0);
  representatives_ = {0};
  int open = 0;
  bool live = false;
  for (std::size_t s = 0; s < classes_.size(); ++s) {
    open += depth[s];
    if (cuts[s]) {
      live = open > 0 && (s >= 256 || vocabulary.spells(static_cast<std::uint8_t>(s)));
      if (live) {
        representatives_.push_back(static_cast<Symbol>(s));
        class_count_ = static_cast<std::uint16_t>(representatives_.size());
      }
    }
    if (live) classes_[s] = static_cast<std::uint16_t>(class_count_ - 1);
  }
}

}  // namespace nautile
