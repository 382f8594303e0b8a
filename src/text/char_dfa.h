// char_dfa.h — a deterministic automaton over characters: what several conditions leave of a
// string.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "text/char_set.h"
#include "text/grammar_rules.h"

namespace nautile {

class CharDfa {
 public:
  static constexpr std::size_t kMaxStates = 20'000;
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;
  struct Edge {
    CharSet set;  // those of one state are disjoint
    std::uint32_t target;
  };
  struct State {
    std::vector<Edge> edges;
    bool accepts = false;
  };

  // State 0 is the start; without states it matches nothing.
  std::vector<State> states;

  // What both match. Throws Error(unsupported) naming `what` beyond kMaxStates.
  static CharDfa both(const CharDfa& a, const CharDfa& b, std::string_view what);
  // Of min to max characters (max may be GrammarRules::kForever). Errors as both().
  CharDfa with_length(std::uint32_t min, std::uint32_t max, std::string_view what) const;
  bool matches(std::string_view utf8) const;
  // A rule for each state; encode makes an expression of a set of characters.
  template <class Encode>
  ExprId add_to(GrammarRules& rules, const Encode& encode) const;

  // The automaton of abstract places that step(place, character) leads through, over an alphabet of
  // ASCII. Place needs operator<; step gives nothing where no way leads on.
  template <class Place, class Step, class Accepts>
  static CharDfa explore(const Place& start, std::string_view alphabet, const Step& step,
                         const Accepts& accepts, std::string_view what);

  static void check_size(std::size_t states, std::string_view what);
  // Drops what is not on the way from the start to an accepting state.
  void trim();
};

template <class Encode>
ExprId CharDfa::add_to(GrammarRules& rules, const Encode& encode) const {
  if (states.empty()) return GrammarRules::kNever;
  std::vector<RuleId> ids;
  for (std::size_t i = 0; i < states.size(); ++i) ids.push_back(rules.add_rule("automaton"));
  for (std::size_t i = 0; i < states.size(); ++i) {
    std::vector<ExprId> ways;
    for (const Edge& edge : states[i].edges) {
      ways.push_back(rules.seq({encode(edge.set), rules.call(ids[edge.target])}));
    }
    if (states[i].accepts) ways.push_back(GrammarRules::kEmpty);
    rules.define(ids[i], rules.alt(ways));
  }
  return rules.call(ids[0]);
}

template <class Place, class Step, class Accepts>
CharDfa CharDfa::explore(const Place& start, std::string_view alphabet, const Step& step,
                         const Accepts& accepts, std::string_view what) {
  CharDfa dfa;
  std::map<Place, std::uint32_t> ids = {{start, 0}};
  std::vector<Place> order = {start};
  for (std::size_t i = 0; i < order.size(); ++i) {
    const Place from = order[i];
    std::map<std::uint32_t, CharSet> by_target;
    for (const char c : alphabet) {
      const std::optional<Place> next = step(from, c);
      if (!next) continue;
      const auto [known, added] = ids.try_emplace(*next, static_cast<std::uint32_t>(order.size()));
      if (added) order.push_back(*next);
      check_size(order.size(), what);
      by_target[known->second].add(static_cast<char32_t>(c), static_cast<char32_t>(c));
    }
    auto& made = dfa.states.emplace_back();
    made.accepts = accepts(from);
    for (auto& [target, set] : by_target) made.edges.push_back({std::move(set), target});
  }
  dfa.trim();
  return dfa;
}

}  // namespace nautile
