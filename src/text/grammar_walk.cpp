#include "text/grammar_walk.h"

#include <algorithm>
#include <map>

#include "base/error.h"

namespace nautile {
namespace {

constexpr std::size_t kFewTokens = 1024;  // masks of fewer are kept as lists

struct PlainRange {
  std::uint8_t first, last;
};

// All plain characters; U+2028 and U+2029 (E2 80 A8, E2 80 A9) are left out.
const std::vector<std::vector<PlainRange>>& plain_ranges() {
  static const std::vector<std::vector<PlainRange>> kRanges = {
      {{0x20, 0x21}},
      {{0x23, 0x5B}},
      {{0x5D, 0x7F}},
      {{0xC2, 0xDF}, {0x80, 0xBF}},
      {{0xE0, 0xE0}, {0xA0, 0xBF}, {0x80, 0xBF}},
      {{0xE1, 0xE1}, {0x80, 0xBF}, {0x80, 0xBF}},
      {{0xE2, 0xE2}, {0x80, 0x80}, {0x80, 0xA7}},
      {{0xE2, 0xE2}, {0x80, 0x80}, {0xAA, 0xBF}},
      {{0xE2, 0xE2}, {0x81, 0xBF}, {0x80, 0xBF}},
      {{0xE3, 0xEC}, {0x80, 0xBF}, {0x80, 0xBF}},
      {{0xED, 0xED}, {0x80, 0x9F}, {0x80, 0xBF}},
      {{0xEE, 0xEF}, {0x80, 0xBF}, {0x80, 0xBF}},
      {{0xF0, 0xF0}, {0x90, 0xBF}, {0x80, 0xBF}, {0x80, 0xBF}},
      {{0xF1, 0xF3}, {0x80, 0xBF}, {0x80, 0xBF}, {0x80, 0xBF}},
      {{0xF4, 0xF4}, {0x80, 0x8F}, {0x80, 0xBF}, {0x80, 0xBF}},
  };
  return kRanges;
}

void set_bit(std::span<std::uint64_t> mask, TokenId id) {
  mask[static_cast<std::size_t>(id) / 64] |= std::uint64_t{1}
                                             << (static_cast<std::size_t>(id) % 64);
}

void unite(std::span<std::uint64_t> mask, std::span<const std::uint64_t> other) {
  for (std::size_t i = 0; i < mask.size(); ++i) mask[i] |= other[i];
}

// The tokens of exactly so many plain characters.
void unite_plain(std::span<std::uint64_t> mask, const GrammarVocabulary& vocabulary,
                 std::size_t chars) {
  const auto upto = vocabulary.plain_mask(chars), before = vocabulary.plain_mask(chars - 1);
  for (std::size_t i = 0; i < mask.size(); ++i) mask[i] |= upto[i] & ~before[i];
}

}  // namespace

void TokenMask::add_to(std::span<std::uint64_t> mask) const {
  if (!words.empty()) unite(mask, words);
  for (const TokenId id : few) set_bit(mask, id);
}

PlainClasses::PlainClasses(const GrammarNfa& nfa) {
  for (const auto& ranges : plain_ranges()) {
    auto& sequence = sequences.emplace_back();
    for (const PlainRange& range : ranges) {
      auto& classes = sequence.emplace_back();
      for (Symbol s = range.first; s <= range.last; ++s) classes.push_back(nfa.class_of(s));
      std::sort(classes.begin(), classes.end());
      classes.erase(std::unique(classes.begin(), classes.end()), classes.end());
    }
  }
}

bool GrammarWalk::within(Place p, std::uint32_t tokens) {
  const std::uint32_t rest = places_.shortest(p);
  if (rest < tokens) return true;
  if (rest / vocabulary_.max_bytes() >= tokens) return false;
  return places_.tokens_to_end(p) <= tokens;
}

bool GrammarWalk::follow(Place from, const std::vector<std::vector<std::uint16_t>>& sequence,
                         std::size_t at, Place& to, bool& first) {
  if (at == sequence.size() || from.dead()) {
    if (first) to = from;
    first = false;
    return to == from;
  }
  Place last{};
  bool any = false;
  for (const std::uint16_t c : sequence[at]) {
    const Place next = places_.step(from, c);
    if (any && next == last) continue;
    if (!follow(next, sequence, at + 1, to, first)) return false;
    last = next;
    any = true;
  }
  return true;
}

GrammarWalk::Uniform GrammarWalk::after_plain(Place from, Place& to) {
  bool first = true;
  for (const auto& sequence : plain_.sequences) {
    if (!follow(from, sequence, 0, to, first)) return Uniform::mixed;
  }
  return to.dead() ? Uniform::nowhere : Uniform::one_place;
}

TokenTrie::Bytes GrammarWalk::loops_of(Place p, TokenTrie::Made made) {
  TokenTrie::Bytes bytes{};
  const bool by_byte = made == TokenTrie::Made::of_bytes;
  for (std::size_t b = 0; b < (by_byte ? 256U : 0x80U); ++b) {
    if (places_.step_symbol(p, static_cast<Symbol>(b)) == p)
      bytes[b / 64] |= std::uint64_t{1} << (b % 64);
  }
  if (by_byte) return bytes;
  Place to = p;
  bool first = false;
  for (const auto& sequence : plain_.sequences) {
    if (sequence.size() > 1 && !follow(p, sequence, 0, to, first)) return bytes;
  }
  bytes[2] = bytes[3] = ~std::uint64_t{0};
  return bytes;
}

bool GrammarWalk::stays(Place p, const TokenTrie& trie, std::size_t node, Loops& loops) {
  const TokenTrie::Bytes* below = trie.below(node);
  if (below == nullptr) return false;
  // Most places are left by the first byte: nothing more is asked of them.
  const std::uint8_t first = trie.node(node + 1).byte;
  const Place then = places_.step_symbol(p, first);
  const bool maybe = first < 0x80 ? then == p : !then.dead();
  if (!maybe) return false;
  auto known = loops.find(p.key());
  if (known == loops.end()) known = loops.emplace(p.key(), loops_of(p, trie.made())).first;
  for (std::size_t w = 0; w < below->size(); ++w) {
    if (((*below)[w] & ~known->second[w]) != 0) return false;
  }
  return true;
}

template <class Accept>
void GrammarWalk::walk(const TokenTrie& trie, Place from, const Accept& accept) {
  std::vector<Place> path(trie.depth() + 1);
  path[0] = from;
  Loops loops;
  const GrammarNfa& nfa = automaton_.nfa();
  for (std::size_t i = 0; i < trie.size();) {
    const TokenTrie::Node& node = trie.node(i);
    const Place next = places_.step(path[node.depth - 1u], nfa.class_of(node.byte));
    if (next.dead()) {
      i = node.next;
      continue;
    }
    // Free text mostly goes round and round: whole branches are taken at once.
    if (stays(next, trie, i, loops)) {
      accept(next, trie.tokens_from(i));
      i = node.next;
      continue;
    }
    path[node.depth] = next;
    if (const auto tokens = trie.tokens(i); !tokens.empty()) accept(next, tokens);
    ++i;
  }
}

template <class Accept, class AcceptPlain>
void GrammarWalk::each(Place from, const Accept& accept, const AcceptPlain& accept_plain) {
  walk(vocabulary_.other(), from, accept);
  const GrammarNfa& nfa = automaton_.nfa();
  for (std::size_t i = 0; i < nfa.tokens().size(); ++i) {
    const Place next = places_.step_symbol(from, static_cast<Symbol>(256 + i));
    if (!next.dead()) accept(next, std::span(&nfa.tokens()[i], 1));
  }
  // As many plain characters as lead to one place each time, then nowhere or round and round.
  std::vector<Place> places;
  for (Place here = from; places.size() < vocabulary_.plain_chars();) {
    Place next;
    const Uniform uniform = after_plain(here, next);
    if (uniform == Uniform::mixed) {
      walk(vocabulary_.plain(), from, accept);
      return;
    }
    if (uniform == Uniform::nowhere) break;
    if (next == here) {
      places.resize(vocabulary_.plain_chars(), next);
      break;
    }
    places.push_back(next);
    here = next;
  }
  for (std::size_t i = 0; i < places.size(); ++i) accept_plain(places[i], i + 1);
}

TokenMask GrammarWalk::allowed(Place p, std::uint32_t tokens, std::span<std::uint64_t> mask) {
  TokenMask all;
  std::vector<std::uint64_t> words(mask.size()), beyond;
  std::size_t count = 0, characters = 0;
  const auto fits = [&](Place next) {
    all.longest_rest = std::max(all.longest_rest, places_.shortest(next));
    if (within(next, tokens)) return true;
    beyond.resize(mask.size());
    return false;
  };
  each(
      p,
      [&](Place next, std::span<const TokenId> ids) {
        const bool fit = fits(next);
        for (const TokenId id : ids) set_bit(words, id);
        for (std::size_t i = 0; !fit && i < ids.size(); ++i) set_bit(beyond, ids[i]);
        if (count += ids.size(); count <= kFewTokens) {
          all.few.insert(all.few.end(), ids.begin(), ids.end());
        }
      },
      [&](Place next, std::size_t chars) {
        characters = std::max(characters, chars);
        if (!fits(next)) unite_plain(beyond, vocabulary_, chars);
      });
  if (GrammarPlaces::may_end(p)) {
    for (const TokenId id : vocabulary_.end_ids()) {
      set_bit(words, id);
      all.few.push_back(id);
    }
  }
  unite(words, vocabulary_.plain_mask(characters));
  std::copy(words.begin(), words.end(), mask.begin());
  for (std::size_t i = 0; i < beyond.size(); ++i) mask[i] &= ~beyond[i];
  if (characters == 0 && count <= kFewTokens) return all;
  all.few.clear();
  all.words = std::move(words);
  return all;
}

std::vector<TokenNeed> GrammarWalk::needs(Place p) {
  std::map<std::uint32_t, TokenMask> by_need;
  each(
      p,
      [&](Place next, std::span<const TokenId> ids) {
        auto& few = by_need[places_.tokens_to_end(next)].few;
        few.insert(few.end(), ids.begin(), ids.end());
      },
      [&](Place next, std::size_t chars) {
        auto& words = by_need[places_.tokens_to_end(next)].words;
        words.resize(vocabulary_.mask_words());
        unite_plain(words, vocabulary_, chars);
      });
  if (GrammarPlaces::may_end(p)) {
    auto& few = by_need[0].few;
    few.insert(few.end(), vocabulary_.end_ids().begin(), vocabulary_.end_ids().end());
  }
  std::vector<TokenNeed> result;
  for (auto& [tokens, mask] : by_need) {
    if (mask.few.size() > kFewTokens) {
      mask.words.resize(vocabulary_.mask_words());
      for (const TokenId id : mask.few) set_bit(mask.words, id);
      mask.few.clear();
    }
    mask.few.shrink_to_fit();
    result.push_back({tokens, std::move(mask)});
  }
  return result;
}

}  // namespace nautile
