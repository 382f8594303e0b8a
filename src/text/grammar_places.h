// grammar_places.h — GrammarPlaces: where a text can stand in an automaton, and the way out of
// there.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/grammar_automaton.h"
#include "text/grammar_vocabulary.h"

namespace nautile {

// A state above a stack of frames. Places of one GrammarPlaces are equal exactly if their numbers
// are.
struct GrammarPlace {
  StateId state = GrammarAutomaton::kDead;
  std::uint32_t stack = 0;  // 0: none
  bool dead() const { return state == GrammarAutomaton::kDead; }
  std::uint64_t key() const { return pair_key(state, stack); }
  bool operator==(const GrammarPlace&) const = default;
};

// Numbers the stacks, moves between places, and remembers the shortest way out of them. Memory
// grows with what is asked; after clear() all places are void. Not safe for concurrent use.
class GrammarPlaces {
 public:
  using Place = GrammarPlace;
  static constexpr std::uint32_t kEmptyStack = 0;

  // Both must outlive it.
  GrammarPlaces(GrammarAutomaton& automaton, const GrammarVocabulary& vocabulary)
      : automaton_(automaton), vocabulary_(vocabulary) {}

  Place start() { return settle(automaton_.start(), kEmptyStack); }
  // The stack's top is last.
  Place place(StateId state, std::span<const FrameId> stack);
  std::vector<FrameId> stack_of(Place p) const;
  // The place that no token can tell apart from this one: steps of counted repetitions moved.
  Place representative(Place p);

  Place step(Place from, std::uint16_t c) {
    const GrammarAutomaton::Move move = automaton_.step(from.state, c);
    // Most moves stay in their frame.
    const bool within = move.push == GrammarAutomaton::kBase &&
                        ((move.state & GrammarAutomaton::kExit) == 0 || from.stack == kEmptyStack);
    if (!within) return settle(move, from.stack);
    return move.state == GrammarAutomaton::kDead ? Place{} : Place{move.state, from.stack};
  }
  Place step_symbol(Place from, Symbol symbol) {
    return step(from, automaton_.nfa().class_of(symbol));
  }
  Place step_bytes(Place from, std::string_view bytes);

  static bool may_end(Place p) {
    return p.stack == kEmptyStack && (p.state & GrammarAutomaton::kExit) != 0;
  }
  // Symbols of the shortest text from here to the end.
  std::uint32_t shortest(Place p) const {
    const std::uint64_t sum = links_[p.stack].shortest + automaton_.shortest(p.state);
    return sum < GrammarNfa::kUnreachable ? static_cast<std::uint32_t>(sum)
                                          : GrammarNfa::kUnreachable;
  }
  // Tokens that the shortest text (of several, the least by bytes) and the end token come to. After
  // the first token of that text the number is one less, so whoever can afford it now still can
  // then.
  std::uint32_t tokens_to_end(Place p) { return tails_[tail(p)].tokens; }

  GrammarAutomaton& automaton() { return automaton_; }
  const GrammarVocabulary& vocabulary() const { return vocabulary_; }
  std::size_t bytes() const;
  void clear();

 private:
  struct Link {
    FrameId frame = 0;
    std::uint32_t parent = 0;
    std::uint64_t shortest = 0;  // of the whole stack from here down
  };
  // The shortest text from a place: its first symbol, then the text of another tail.
  struct Tail {
    std::uint32_t next = 0;    // kAtEnd: no symbol, the end token is to come
    std::uint32_t tokens = 1;  // of the whole, with the end token
    Symbol symbol = 0;
  };
  static constexpr std::uint32_t kAtEnd = 0;

  Place settle(GrammarAutomaton::Move move, std::uint32_t stack);
  std::uint32_t push(std::uint32_t stack, FrameId frame);
  std::uint32_t tail(Place p);
  std::uint32_t fewest_tokens(std::uint32_t tail) const;

  GrammarAutomaton& automaton_;
  const GrammarVocabulary& vocabulary_;
  std::vector<Link> links_ = {Link{}};
  std::unordered_map<std::uint64_t, std::uint32_t> link_index_;
  std::vector<Tail> tails_ = {Tail{}};
  std::unordered_map<std::uint64_t, std::uint32_t> tail_index_;  // by place
};

}  // namespace nautile
