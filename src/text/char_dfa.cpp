#include "text/char_dfa.h"

#include <algorithm>

#include "base/printable.h"
#include "text/unicode.h"

namespace nautile {

void CharDfa::check_size(std::size_t states, std::string_view what) {
  if (states <= kMaxStates) return;
  throw make_error(ErrorKind::unsupported, "{}: more than {} states are needed", printable(what),
                   kMaxStates)
      .hint("smaller counts and bounds, or fewer conditions on one value, take fewer");
}

void CharDfa::trim() {
  std::vector<std::vector<std::uint32_t>> before(states.size());
  std::vector<std::uint32_t> open;
  std::vector<bool> useful(states.size());
  for (std::uint32_t i = 0; i < states.size(); ++i) {
    for (const Edge& edge : states[i].edges) before[edge.target].push_back(i);
    if (states[i].accepts) {
      useful[i] = true;
      open.push_back(i);
    }
  }
  while (!open.empty()) {
    const std::uint32_t at = open.back();
    open.pop_back();
    for (const std::uint32_t from : before[at]) {
      if (useful[from]) continue;
      useful[from] = true;
      open.push_back(from);
    }
  }
  if (states.empty() || !useful[0]) {
    states.clear();
    return;
  }
  std::vector<std::uint32_t> renamed(states.size(), kNone);
  std::vector<State> kept;
  for (std::uint32_t i = 0; i < states.size(); ++i) {
    if (!useful[i]) continue;
    renamed[i] = static_cast<std::uint32_t>(kept.size());
    kept.push_back(std::move(states[i]));
  }
  for (State& state : kept) {
    std::erase_if(state.edges, [&](const Edge& e) { return renamed[e.target] == kNone; });
    for (Edge& edge : state.edges) edge.target = renamed[edge.target];
  }
  states = std::move(kept);
}

CharDfa CharDfa::both(const CharDfa& a, const CharDfa& b, std::string_view what) {
  CharDfa result;
  if (a.states.empty() || b.states.empty()) return result;
  using Pair = std::pair<std::uint32_t, std::uint32_t>;
  std::map<Pair, std::uint32_t> ids = {{{0, 0}, 0}};
  std::vector<Pair> order = {{0, 0}};
  for (std::size_t i = 0; i < order.size(); ++i) {
    const auto [x, y] = order[i];
    State state;
    state.accepts = a.states[x].accepts && b.states[y].accepts;
    for (const Edge& e : a.states[x].edges) {
      for (const Edge& f : b.states[y].edges) {
        const CharSet common = e.set & f.set;
        if (common.empty()) continue;
        const auto [known, added] =
            ids.try_emplace({e.target, f.target}, static_cast<std::uint32_t>(order.size()));
        if (added) order.emplace_back(e.target, f.target);
        check_size(order.size(), what);
        state.edges.push_back({common, known->second});
      }
    }
    result.states.push_back(std::move(state));
  }
  result.trim();
  return result;
}

CharDfa CharDfa::with_length(std::uint32_t min, std::uint32_t max, std::string_view what) const {
  if (min == 0 && max == GrammarRules::kForever) return *this;
  CharDfa result;
  if (states.empty() || min > max) return result;
  const std::uint32_t most = max == GrammarRules::kForever ? min : max;
  using Pair = std::pair<std::uint32_t, std::uint32_t>;  // state, characters (at most `most`)
  std::map<Pair, std::uint32_t> ids = {{{0, 0}, 0}};
  std::vector<Pair> order = {{0, 0}};
  for (std::size_t i = 0; i < order.size(); ++i) {
    const auto [at, count] = order[i];
    State state;
    state.accepts = states[at].accepts && count >= min;
    const bool more = max == GrammarRules::kForever || count < max;
    for (const Edge& e : states[at].edges) {
      if (!more) break;
      const auto [known, added] = ids.try_emplace({e.target, std::min(count + 1, most)},
                                                  static_cast<std::uint32_t>(order.size()));
      if (added) order.push_back(known->first);
      check_size(order.size(), what);
      state.edges.push_back({e.set, known->second});
    }
    result.states.push_back(std::move(state));
  }
  result.trim();
  return result;
}

bool CharDfa::matches(std::string_view utf8) const {
  if (states.empty()) return false;
  std::uint32_t at = 0;
  while (!utf8.empty()) {
    const Rune rune = decode_rune(utf8.data());
    utf8.remove_prefix(static_cast<std::size_t>(rune.length));
    const auto& edges = states[at].edges;
    const auto way = std::find_if(edges.begin(), edges.end(),
                                  [&](const Edge& e) { return e.set.contains(rune.code); });
    if (way == edges.end()) return false;
    at = way->target;
  }
  return states[at].accepts;
}

}  // namespace nautile
