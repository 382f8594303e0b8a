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

std::uint32_t GrammarWalk::push(std::uint32_t stack, FrameId frame) {
  const auto next = static_cast<std::uint32_t>(links_.size());
  const auto [known, added] = link_index_.try_emplace(pair_key(stack, frame), next);
  if (added) {
    links_.push_back({frame, stack, links_[stack].shortest + automaton_.frame_shortest(frame)});
  }
  return known->second;
}

GrammarWalk::Place GrammarWalk::place(StateId state, std::span<const FrameId> stack) {
  std::uint32_t top = kEmptyStack;
  for (const FrameId frame : stack) top = push(top, frame);
  return {state, top};
}

std::vector<FrameId> GrammarWalk::stack_of(Place p) const {
  std::vector<FrameId> stack;
  for (std::uint32_t at = p.stack; at != kEmptyStack; at = links_[at].parent) {
    stack.push_back(links_[at].frame);
  }
  std::reverse(stack.begin(), stack.end());
  return stack;
}

GrammarWalk::Place GrammarWalk::settle(GrammarAutomaton::Move move, std::uint32_t stack) {
  if (move.push != GrammarAutomaton::kBase) stack = push(stack, move.push);
  while ((move.state & GrammarAutomaton::kExit) != 0 && stack != kEmptyStack) {
    move = automaton_.resolve(move.state, links_[stack].frame);
    stack = links_[stack].parent;
    if (move.push != GrammarAutomaton::kBase) stack = push(stack, move.push);
  }
  return move.state == GrammarAutomaton::kDead ? Place{} : Place{move.state, stack};
}

GrammarWalk::Place GrammarWalk::step_bytes(Place from, std::string_view bytes) {
  for (const char byte : bytes) {
    if (from.dead()) break;
    from = step_symbol(from, static_cast<std::uint8_t>(byte));
  }
  return from;
}

std::uint32_t GrammarWalk::shortest(Place p) const {
  const std::uint64_t sum = links_[p.stack].shortest + automaton_.shortest(p.state);
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(sum, GrammarNfa::kUnreachable));
}

std::uint32_t GrammarWalk::tokens_to_end(Place p) {
  const std::uint64_t key = pair_key(p.state, p.stack);
  if (const auto known = tokens_to_end_.find(key); known != tokens_to_end_.end()) {
    return known->second;
  }
  std::uint32_t count = 1;
  std::string bytes;
  while (!may_end(p)) {
    const Symbol symbol = automaton_.first_of_shortest(p.state);
    if (symbol < 256) {
      bytes.push_back(static_cast<char>(symbol));
    } else {
      count += 1 + vocabulary_.fewest_tokens(bytes);
      bytes.clear();
    }
    p = step_symbol(p, symbol);
    NAUTILE_ASSERT(!p.dead(), "the shortest text leads nowhere");
  }
  count += vocabulary_.fewest_tokens(bytes);
  tokens_to_end_.emplace(key, count);
  return count;
}

bool GrammarWalk::within(Place p, std::uint32_t tokens) {
  const std::uint32_t rest = shortest(p);
  if (rest < tokens) return true;
  if (rest / vocabulary_.max_bytes() >= tokens) return false;
  return tokens_to_end(p) <= tokens;
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
    const Place next = step(from, c);
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

bool GrammarWalk::stays(Place p, const TokenTrie::Bytes& bytes) {
  if ((p.state & GrammarAutomaton::kExit) != 0 && p.stack != kEmptyStack) return false;
  for (std::size_t byte = 0; byte < bytes.size(); ++byte) {
    if (!bytes[byte]) continue;
    const auto move =
        automaton_.step(p.state, automaton_.nfa().class_of(static_cast<Symbol>(byte)));
    if (move.state != p.state || move.push != GrammarAutomaton::kBase) return false;
  }
  return true;
}

template <class Accept>
void GrammarWalk::walk(const TokenTrie& trie, Place from, const Accept& accept) {
  std::vector<Place> path(trie.depth() + 1);
  path[0] = from;
  const GrammarNfa& nfa = automaton_.nfa();
  for (std::size_t i = 0; i < trie.size();) {
    const TokenTrie::Node& node = trie.node(i);
    const Place next = step(path[node.depth - 1u], nfa.class_of(node.byte));
    if (next.dead()) {
      i = node.next;
      continue;
    }
    // Free text mostly goes round and round: whole branches are taken at once.
    if (const auto* below = trie.below(i); below != nullptr && stays(next, *below)) {
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
    const Place next = step_symbol(from, static_cast<Symbol>(256 + i));
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

TokenMask GrammarWalk::allowed(Place p) {
  TokenMask mask;
  std::vector<std::uint64_t> words(vocabulary_.mask_words());
  std::size_t count = 0, characters = 0;
  each(
      p,
      [&](Place next, std::span<const TokenId> tokens) {
        mask.longest_rest = std::max(mask.longest_rest, shortest(next));
        for (const TokenId id : tokens) set_bit(words, id);
        if (count += tokens.size(); count <= kFewTokens) {
          mask.few.insert(mask.few.end(), tokens.begin(), tokens.end());
        }
      },
      [&](Place next, std::size_t chars) {
        mask.longest_rest = std::max(mask.longest_rest, shortest(next));
        characters = std::max(characters, chars);
      });
  if (may_end(p)) {
    for (const TokenId id : vocabulary_.end_ids()) {
      set_bit(words, id);
      mask.few.push_back(id);
    }
  }
  if (characters == 0 && count <= kFewTokens) return mask;
  unite(words, vocabulary_.plain_mask(characters));
  mask.few.clear();
  mask.words = std::move(words);
  return mask;
}

void GrammarWalk::allowed_within(Place p, std::uint32_t tokens, std::span<std::uint64_t> mask) {
  each(
      p,
      [&](Place next, std::span<const TokenId> ids) {
        if (!within(next, tokens)) return;
        for (const TokenId id : ids) set_bit(mask, id);
      },
      [&](Place next, std::size_t chars) {
        if (!within(next, tokens)) return;
        const auto upto = vocabulary_.plain_mask(chars), before = vocabulary_.plain_mask(chars - 1);
        for (std::size_t i = 0; i < mask.size(); ++i) mask[i] |= upto[i] & ~before[i];
      });
  if (may_end(p)) {
    for (const TokenId id : vocabulary_.end_ids()) set_bit(mask, id);
  }
}

std::vector<TokenNeed> GrammarWalk::needs(Place p) {
  std::map<std::uint32_t, TokenMask> by_need;
  each(
      p,
      [&](Place next, std::span<const TokenId> ids) {
        auto& few = by_need[tokens_to_end(next)].few;
        few.insert(few.end(), ids.begin(), ids.end());
      },
      [&](Place next, std::size_t chars) {
        auto& words = by_need[tokens_to_end(next)].words;
        words.resize(vocabulary_.mask_words());
        const auto upto = vocabulary_.plain_mask(chars), before = vocabulary_.plain_mask(chars - 1);
        for (std::size_t i = 0; i < words.size(); ++i) words[i] |= upto[i] & ~before[i];
      });
  if (may_end(p)) {
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
