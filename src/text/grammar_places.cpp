#include "text/grammar_places.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace nautile {

std::uint32_t GrammarPlaces::push(std::uint32_t stack, FrameId frame) {
  const auto next = static_cast<std::uint32_t>(links_.size());
  const auto [known, added] = link_index_.try_emplace(pair_key(stack, frame), next);
  if (added) {
    links_.push_back({frame, stack, links_[stack].shortest + automaton_.frame_shortest(frame)});
  }
  return known->second;
}

GrammarPlace GrammarPlaces::place(StateId state, std::span<const FrameId> stack) {
  std::uint32_t top = kEmptyStack;
  for (const FrameId frame : stack) top = push(top, frame);
  return {state, top};
}

std::vector<FrameId> GrammarPlaces::stack_of(Place p) const {
  std::vector<FrameId> stack;
  for (std::uint32_t at = p.stack; at != kEmptyStack; at = links_[at].parent) {
    stack.push_back(links_[at].frame);
  }
  std::reverse(stack.begin(), stack.end());
  return stack;
}

GrammarPlace GrammarPlaces::representative(Place p) {
  if (!automaton_.nfa().has_regions()) return p;
  const auto most = static_cast<std::uint32_t>(vocabulary_.max_bytes());
  std::vector<FrameId> stack = stack_of(p);
  for (FrameId& frame : stack) frame = automaton_.frame_representative(frame, most);
  return place(automaton_.representative(p.state, most), stack);
}

GrammarPlace GrammarPlaces::settle(GrammarAutomaton::Move move, std::uint32_t stack) {
  if (move.push != GrammarAutomaton::kBase) stack = push(stack, move.push);
  while ((move.state & GrammarAutomaton::kExit) != 0 && stack != kEmptyStack) {
    move = automaton_.resolve(move.state, links_[stack].frame);
    stack = links_[stack].parent;
    if (move.push != GrammarAutomaton::kBase) stack = push(stack, move.push);
  }
  return move.state == GrammarAutomaton::kDead ? Place{} : Place{move.state, stack};
}

GrammarPlace GrammarPlaces::step_bytes(Place from, std::string_view bytes) {
  for (const char byte : bytes) {
    if (from.dead()) break;
    from = step_symbol(from, static_cast<std::uint8_t>(byte));
  }
  return from;
}

// Follows the shortest text to its end, or to where it is known from; then counts backwards.
std::uint32_t GrammarPlaces::tail(Place p) {
  std::vector<std::pair<std::uint64_t, Symbol>> fresh;
  std::uint32_t rest = kAtEnd;
  while (!may_end(p)) {
    if (const auto known = tail_index_.find(p.key()); known != tail_index_.end()) {
      rest = known->second;
      break;
    }
    fresh.emplace_back(p.key(), automaton_.first_of_shortest(p.state));
    p = step_symbol(p, fresh.back().second);
    NAUTILE_ASSERT(!p.dead(), "the shortest text leads nowhere");
  }
  for (auto at = fresh.rbegin(); at != fresh.rend(); ++at) {
    tails_.push_back({rest, 0, at->second});
    rest = static_cast<std::uint32_t>(tails_.size() - 1);
    tails_.back().tokens = fewest_tokens(rest);
    tail_index_.emplace(at->first, rest);
  }
  return rest;
}

// Of a tail whose next ones are known: the best of all tokens that its text begins with.
std::uint32_t GrammarPlaces::fewest_tokens(std::uint32_t tail) const {
  if (tails_[tail].symbol >= 256) return 1 + tails_[tails_[tail].next].tokens;
  std::uint32_t best = GrammarNfa::kUnreachable, node = GrammarVocabulary::kRoot;
  while (tail != kAtEnd && tails_[tail].symbol < 256) {
    node = vocabulary_.child(node, static_cast<std::uint8_t>(tails_[tail].symbol));
    if (node == GrammarVocabulary::kRoot) break;
    tail = tails_[tail].next;
    if (vocabulary_.is_token(node)) best = std::min(best, 1 + tails_[tail].tokens);
  }
  NAUTILE_ASSERT(best != GrammarNfa::kUnreachable, "a byte of the shortest text has no token");
  return best;
}

std::size_t GrammarPlaces::bytes() const {
  constexpr std::size_t kIndexEntry = 40;  // a node of a hash table
  return links_.size() * (sizeof(Link) + kIndexEntry) +
         tails_.size() * (sizeof(Tail) + kIndexEntry);
}

void GrammarPlaces::clear() {
  links_ = std::vector<Link>(1);
  link_index_ = {};
  tails_ = std::vector<Tail>(1);
  tail_index_ = {};
}

}  // namespace nautile
