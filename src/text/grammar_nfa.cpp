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

constexpr std::uint32_t kLongest = 1u << 16;    // a longer shortest text counts as none
constexpr std::size_t kMaxBeginnings = 20'000;  // nodes entered before a rule reads anything

}  // namespace

GrammarNfa::GrammarNfa(const GrammarRules& rules, RuleId root, const GrammarVocabulary& vocabulary)
    : root_(root) {
  build(rules);
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
