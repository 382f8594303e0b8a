// grammar_walk.h — one walk of a vocabulary along an automaton: which tokens may come next.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "text/grammar_automaton.h"
#include "text/grammar_vocabulary.h"

namespace nautile {

// The tokens that may follow, as a bit set or, when they are few, as a list.
struct TokenMask {
  std::vector<std::uint64_t> words;
  std::vector<TokenId> few;
  std::uint32_t longest_rest = 0;  // symbols of the longest of the shortest texts after any of them
  std::size_t bytes() const { return words.size() * 8 + few.size() * sizeof(TokenId); }
  void add_to(std::span<std::uint64_t> mask) const;
};

// Tokens after all of which the text takes so many more to its end.
struct TokenNeed {
  std::uint32_t tokens = 0;
  TokenMask mask;
};

// The classes of the bytes of plain characters (grammar_vocabulary.h): each a sequence of ranges.
struct PlainClasses {
  explicit PlainClasses(const GrammarNfa& nfa);
  std::vector<std::vector<std::vector<std::uint16_t>>> sequences;
};

// Lives as long as one question to the automaton. A place is a state above a stack of frames;
// places of one walk are equal exactly if their numbers are.
class GrammarWalk {
 public:
  static constexpr std::uint32_t kEmptyStack = 0;
  struct Place {
    StateId state = GrammarAutomaton::kDead;
    std::uint32_t stack = kEmptyStack;
    bool dead() const { return state == GrammarAutomaton::kDead; }
    bool operator==(const Place&) const = default;
  };

  GrammarWalk(GrammarAutomaton& automaton, const GrammarVocabulary& vocabulary,
              const PlainClasses& plain)
      : automaton_(automaton), vocabulary_(vocabulary), plain_(plain) {
    automaton_.begin_question();
  }

  // The stack's top is last.
  Place place(StateId state, std::span<const FrameId> stack);
  std::vector<FrameId> stack_of(Place p) const;

  Place step(Place from, std::uint16_t c) {
    return settle(automaton_.step(from.state, c), from.stack);
  }
  Place settle(GrammarAutomaton::Move move, std::uint32_t stack);
  Place step_symbol(Place from, Symbol symbol) {
    return step(from, automaton_.nfa().class_of(symbol));
  }
  Place step_bytes(Place from, std::string_view bytes);

  static bool may_end(Place p) {
    return p.stack == kEmptyStack && (p.state & GrammarAutomaton::kExit) != 0;
  }
  // Symbols of the shortest text from here to the end.
  std::uint32_t shortest(Place p) const;
  // Tokens that the shortest text (of several, the least by bytes) and the end token come to. After
  // the first token of that text the number is one less, so whoever can afford it now still can
  // then.
  std::uint32_t tokens_to_end(Place p);

  TokenMask allowed(Place p);
  // Sets the bits of tokens after which at most `tokens` tokens end the text.
  void allowed_within(Place p, std::uint32_t tokens, std::span<std::uint64_t> mask);
  // What allowed_within() says for all numbers, ascending: dearer once, then cheap.
  std::vector<TokenNeed> needs(Place p);

 private:
  struct Link {
    FrameId frame;
    std::uint32_t parent;
    std::uint64_t shortest;  // of the whole stack from here down
  };
  enum class Uniform : std::uint8_t { one_place, nowhere, mixed };

  std::uint32_t push(std::uint32_t stack, FrameId frame);
  // Where every plain character leads, if to one place.
  Uniform after_plain(Place from, Place& to);
  bool follow(Place from, const std::vector<std::vector<std::uint16_t>>& sequence, std::size_t at,
              Place& to, bool& first);
  // Whether each of the bytes leads back to the place itself.
  bool stays(Place p, const TokenTrie::Bytes& bytes);
  template <class Accept>
  void walk(const TokenTrie& trie, Place from, const Accept& accept);
  // Calls accept(place, tokens) for every token, plain ones maybe as accept_plain(place,
  // characters).
  template <class Accept, class AcceptPlain>
  void each(Place from, const Accept& accept, const AcceptPlain& accept_plain);
  bool within(Place p, std::uint32_t tokens);

  GrammarAutomaton& automaton_;
  const GrammarVocabulary& vocabulary_;
  const PlainClasses& plain_;
  std::vector<Link> links_ = {Link{0, 0, 0}};
  std::unordered_map<std::uint64_t, std::uint32_t> link_index_;
  std::unordered_map<std::uint64_t, std::uint32_t> tokens_to_end_;
};

}  // namespace nautile
