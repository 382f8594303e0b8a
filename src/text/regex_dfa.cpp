// regex_dfa.cpp — a regular expression as a deterministic automaton of characters.
#include <algorithm>
#include <map>

#include "base/error.h"
#include "text/regex.h"

namespace nautile {
namespace {

constexpr std::size_t kMaxNfaStates = 50'000;

// A nondeterministic automaton of characters, built from its end.
struct CharNfa {
  struct State {
    std::vector<std::uint32_t> empty;  // moves that read nothing
    const CharSet* set = nullptr;
    std::uint32_t target = 0;
  };
  std::vector<State> states = {State{}};  // 0 accepts

  std::uint32_t add(State state) {
    if (states.size() >= kMaxNfaStates) {
      throw make_error(ErrorKind::unsupported, "a regular expression of more than {} states",
                       kMaxNfaStates)
          .hint("smaller counts of repetition take fewer");
    }
    states.push_back(std::move(state));
    return static_cast<std::uint32_t>(states.size() - 1);
  }

  void close(std::vector<std::uint32_t>& set) const {
    std::vector<bool> seen(states.size());
    std::vector<std::uint32_t> open = std::move(set);
    set.clear();
    while (!open.empty()) {
      const std::uint32_t at = open.back();
      open.pop_back();
      if (seen[at]) continue;
      seen[at] = true;
      if (states[at].set || at == 0) set.push_back(at);
      open.insert(open.end(), states[at].empty.begin(), states[at].empty.end());
    }
    std::sort(set.begin(), set.end());
  }
};

// The ranges between all bounds of the sets of some states.
std::vector<CharSet::Range> pieces(const CharNfa& nfa, const std::vector<std::uint32_t>& set) {
  std::vector<char32_t> cuts;
  for (const std::uint32_t at : set) {
    if (!nfa.states[at].set) continue;
    for (const CharSet::Range& range : nfa.states[at].set->ranges()) {
      cuts.push_back(range.first);
      cuts.push_back(range.last + 1);
    }
  }
  std::sort(cuts.begin(), cuts.end());
  cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
  std::vector<CharSet::Range> result;
  for (std::size_t i = 1; i < cuts.size(); ++i) result.push_back({cuts[i - 1], cuts[i] - 1});
  return result;
}

}  // namespace

CharDfa Regex::dfa(Match match) const {
  constexpr std::string_view kWhat = "regular expression";
  const NodeId root = language(match);
  CharNfa nfa;
  const auto build = [&](const auto& self, NodeId id, std::uint32_t next) -> std::uint32_t {
    const Node& n = nodes_[id];
    switch (n.kind) {
      case Kind::empty:
        return next;
      case Kind::chars:
        return nfa.add({{}, &n.set, next});
      case Kind::seq:
        for (auto part = n.parts.rbegin(); part != n.parts.rend(); ++part) {
          next = self(self, *part, next);
        }
        return next;
      case Kind::alt: {
        CharNfa::State fork;
        for (const NodeId part : n.parts) fork.empty.push_back(self(self, part, next));
        return nfa.add(std::move(fork));
      }
      case Kind::repeat: {
        std::uint32_t exit = next;
        if (n.max == GrammarRules::kForever) {
          next = nfa.add({{next}, nullptr, 0});
          const std::uint32_t body = self(self, n.parts[0], next);
          nfa.states[next].empty.push_back(body);
        } else {
          for (std::uint32_t i = n.min; i < n.max; ++i) {
            next = nfa.add({{exit, self(self, n.parts[0], next)}, nullptr, 0});
          }
        }
        for (std::uint32_t i = 0; i < n.min; ++i) {
          next = nfa.add({{self(self, n.parts[0], next)}, nullptr, 0});
        }
        return next;
      }
      default:
        return nfa.add({});
    }
  };
  CharDfa dfa;
  std::map<std::vector<std::uint32_t>, std::uint32_t> ids;
  std::vector<std::vector<std::uint32_t>> order;
  std::size_t work = 0;
  const auto spend = [&](std::size_t steps) {
    if (work += steps; work > 20'000'000) {
      fail(ErrorKind::unsupported, "{}: too much work to make it deterministic", kWhat);
    }
  };
  const auto id_of = [&](std::vector<std::uint32_t> set) {
    nfa.close(set);
    spend(set.size() + nfa.states.size() / 16);
    const auto [known, added] =
        ids.try_emplace(std::move(set), static_cast<std::uint32_t>(order.size()));
    if (added) order.push_back(known->first);
    CharDfa::check_size(order.size(), kWhat);
    return known->second;
  };
  id_of({build(build, root, 0)});
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::vector<std::uint32_t> from = order[i];
    std::map<std::uint32_t, CharSet> by_target;
    std::map<std::vector<std::uint32_t>, std::uint32_t> known;  // by states before closing
    for (const std::uint32_t at : from) {
      if (nfa.states[at].set) spend(nfa.states[at].set->ranges().size());
    }
    for (const CharSet::Range& piece : pieces(nfa, from)) {
      spend(from.size());
      std::vector<std::uint32_t> targets;
      for (const std::uint32_t at : from) {
        const CharNfa::State& state = nfa.states[at];
        if (state.set && state.set->contains(piece.first)) targets.push_back(state.target);
      }
      if (targets.empty()) continue;
      auto found = known.find(targets);
      if (found == known.end()) found = known.emplace(targets, id_of(targets)).first;
      by_target[found->second].add(piece.first, piece.last);
    }
    auto& state = dfa.states.emplace_back();
    state.accepts = std::binary_search(from.begin(), from.end(), 0u);
    for (auto& [target, set] : by_target) state.edges.push_back({std::move(set), target});
  }
  dfa.trim();
  return dfa;
}

}  // namespace nautile
