// grammar_walk.h — one walk of a vocabulary along an automaton: which tokens may come next.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "text/grammar_places.h"
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

// The walks of one automaton; keeps nothing between them.
class GrammarWalk {
 public:
  using Place = GrammarPlace;

  // All must outlive it.
  GrammarWalk(GrammarPlaces& places, const PlainClasses& plain)
      : places_(places),
        automaton_(places.automaton()),
        vocabulary_(places.vocabulary()),
        plain_(plain) {}

  // All tokens that may follow; those after which at most `tokens` tokens end the text are set in
  // `mask`, which is all zero.
  TokenMask allowed(Place p, std::uint32_t tokens, std::span<std::uint64_t> mask);
  // What that sets for all numbers, ascending: dearer once, then cheap.
  std::vector<TokenNeed> needs(Place p);

 private:
  enum class Uniform : std::uint8_t { one_place, nowhere, mixed };

  // Where every plain character leads, if to one place.
  Uniform after_plain(Place from, Place& to);
  bool follow(Place from, const std::vector<std::vector<std::uint16_t>>& sequence, std::size_t at,
              Place& to, bool& first);
  // By place: the bytes that lead back to it; from 0x80 on all of them where each character does.
  using Loops = std::unordered_map<std::uint64_t, TokenTrie::Bytes>;
  TokenTrie::Bytes loops_of(Place p, TokenTrie::Made made);
  // Whether all tokens below the node lead back to the place where it leads.
  bool stays(Place p, const TokenTrie& trie, std::size_t node, Loops& loops);
  template <class Accept>
  void walk(const TokenTrie& trie, Place from, const Accept& accept);
  // Calls accept(place, tokens) for every token, plain ones maybe as accept_plain(place,
  // characters).
  template <class Accept, class AcceptPlain>
  void each(Place from, const Accept& accept, const AcceptPlain& accept_plain);
  bool within(Place p, std::uint32_t tokens);

  GrammarPlaces& places_;
  GrammarAutomaton& automaton_;
  const GrammarVocabulary& vocabulary_;
  const PlainClasses& plain_;
};

}  // namespace nautile
