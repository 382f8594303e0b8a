#include "text/grammar.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "text/grammar_plan.h"
#include "text/grammar_walk.h"

namespace nautile {

// One automaton and what was learnt with it; everything under its mutex.
struct CompiledGrammar::Cache {
  Cache(const CompiledGrammar& grammar, std::size_t max_bytes)
      : automaton(*grammar.nfa_),
        places(automaton, grammar.vocabulary_),
        walk(places, *grammar.plain_),
        max_bytes(max_bytes) {}

  // Begins a question; places of the one before are void.
  void begin() {
    automaton.begin_question();
    if (bytes() <= max_bytes) return;
    masks.clear();
    needs.clear();
    places.clear();
    mask_bytes = 0;
  }
  std::size_t bytes() const { return mask_bytes + places.bytes(); }

  // The tokens after which at most `tokens` tokens end the text.
  void allowed(GrammarPlace here, std::uint32_t tokens, std::span<std::uint64_t> mask) {
    // Steps of counted repetition that no token can tell apart share a mask.
    const GrammarPlace like = places.representative(here);
    auto known = masks.find(like.key());
    if (known == masks.end()) {
      TokenMask made = walk.allowed(like, like == here ? tokens : GrammarState::kNoBudget, mask);
      count(made.bytes());
      known = masks.emplace(like.key(), std::move(made)).first;
      if (like == here) return;
      std::fill(mask.begin(), mask.end(), 0);
    }
    if (known->second.longest_rest < tokens) return known->second.add_to(mask);
    // Most places are asked once with few tokens left.
    const auto [need, fresh] = needs.try_emplace(here.key());
    if (fresh) {
      count(0);
      walk.allowed(here, tokens, mask);
      return;
    }
    if (need->second.empty()) {
      need->second = walk.needs(here);
      for (const TokenNeed& one : need->second) count(one.mask.bytes());
    }
    for (const TokenNeed& one : need->second) {
      if (one.tokens <= tokens) one.mask.add_to(mask);
    }
  }

  void count(std::size_t bytes) {
    constexpr std::size_t kIndexEntry = 96;
    mask_bytes += bytes + kIndexEntry;
  }

  std::mutex mutex;
  GrammarAutomaton automaton;
  GrammarPlaces places;
  GrammarWalk walk;
  std::unordered_map<std::uint64_t, TokenMask> masks;               // by place
  std::unordered_map<std::uint64_t, std::vector<TokenNeed>> needs;  // by place; empty: asked once
  std::size_t mask_bytes = 0, max_bytes;
};

CompiledGrammar::CompiledGrammar(const GrammarPlan& plan, const GrammarVocabulary& vocabulary,
                                 std::size_t max_bytes)
    : vocabulary_(vocabulary), max_bytes_(max_bytes) {
  GrammarRules rules;
  const RuleId root = add_plan(rules, plan, vocabulary);
  nfa_ = std::make_unique<const GrammarNfa>(rules, root, vocabulary);
  plain_ = std::make_unique<const PlainClasses>(*nfa_);
  cache_ = std::make_shared<Cache>(*this, max_bytes_ / 3);
  least_tokens_ = cache_->places.tokens_to_end(cache_->places.start());
}

CompiledGrammar::~CompiledGrammar() = default;

std::shared_ptr<CompiledGrammar::Cache> CompiledGrammar::cache() const {
  const std::lock_guard lock(mutex_);
  const std::shared_ptr<Cache> present = cache_;  // lives until its mutex is free
  const std::lock_guard inner(present->mutex);
  if (present->automaton.bytes() > max_bytes_ / 3 * 2) {
    cache_ = std::make_shared<Cache>(*this, max_bytes_ / 3);
  }
  return cache_;
}

std::size_t CompiledGrammar::bytes() const {
  const std::lock_guard lock(mutex_);
  const std::lock_guard inner(cache_->mutex);
  return nfa_->bytes() + cache_->automaton.bytes() + cache_->bytes();
}

GrammarState::GrammarState(std::shared_ptr<const CompiledGrammar> grammar)
    : grammar_(std::move(grammar)), cache_(grammar_->cache()) {
  const std::lock_guard lock(cache_->mutex);
  cache_->begin();
  stand(cache_->places.start());
}

void GrammarState::stand(const GrammarPlace& place) {
  state_ = place.state;
  stack_ = cache_->places.stack_of(place);
}

void GrammarState::refresh() const {
  auto present = grammar_->cache();
  if (present == cache_) return;
  const std::scoped_lock lock(present->mutex, cache_->mutex);
  state_ = present->automaton.adopt(cache_->automaton, state_);
  for (FrameId& frame : stack_) frame = present->automaton.adopt_frame(cache_->automaton, frame);
  cache_.swap(present);
}

void GrammarState::allowed(std::span<std::uint64_t> mask, std::uint32_t budget) const {
  const GrammarVocabulary& vocabulary = grammar_->vocabulary_;
  NAUTILE_ASSERT(mask.size() == vocabulary.mask_words(), "a mask of {} words, expected {}",
                 mask.size(), vocabulary.mask_words());
  std::fill(mask.begin(), mask.end(), 0);
  if (ended_) return;
  refresh();
  const std::lock_guard lock(cache_->mutex);
  cache_->begin();
  const GrammarPlace here = cache_->places.place(state_, stack_);
  if (cache_->places.shortest(here) + 1ull > budget) {
    const std::uint32_t least = cache_->places.tokens_to_end(here);
    NAUTILE_CHECK(least <= budget,
                  "the text cannot end within {} tokens: the grammar needs {} of them from here",
                  budget, least);
  }
  cache_->allowed(here, budget - 1, mask);
}

bool GrammarState::accept(TokenId token) {
  const GrammarVocabulary& vocabulary = grammar_->vocabulary_;
  if (ended_ || token < 0 || token >= vocabulary.size()) return false;
  refresh();
  const std::lock_guard lock(cache_->mutex);
  cache_->begin();
  GrammarPlaces& places = cache_->places;
  auto place = places.place(state_, stack_);
  const auto& ends = vocabulary.end_ids();
  if (GrammarPlaces::may_end(place) && std::find(ends.begin(), ends.end(), token) != ends.end()) {
    ended_ = true;
    return true;
  }
  const auto& named = grammar_->nfa_->tokens();
  const auto found = std::find(named.begin(), named.end(), token);
  if (found != named.end()) {
    place = places.step_symbol(place, static_cast<Symbol>(256 + (found - named.begin())));
  } else if (const std::string& bytes = vocabulary.bytes(token); !bytes.empty()) {
    place = places.step_bytes(place, bytes);
  } else {
    return false;
  }
  if (place.dead()) return false;
  stand(place);
  return true;
}

std::string GrammarState::forced() const {
  constexpr std::size_t kMost = 4096;
  std::string bytes;
  if (ended_) return bytes;
  refresh();
  const std::lock_guard lock(cache_->mutex);
  cache_->begin();
  GrammarPlaces& places = cache_->places;
  auto place = places.place(state_, stack_);
  while (bytes.size() < kMost && !GrammarPlaces::may_end(place)) {
    const int symbol = cache_->automaton.only_symbol(place.state);
    if (symbol < 0 || symbol >= 256) break;
    bytes.push_back(static_cast<char>(symbol));
    place = places.step_symbol(place, static_cast<Symbol>(symbol));
  }
  return bytes;
}

std::uint32_t GrammarState::tokens_to_end() const {
  if (ended_) return 0;
  refresh();
  const std::lock_guard lock(cache_->mutex);
  cache_->begin();
  return cache_->places.tokens_to_end(cache_->places.place(state_, stack_));
}

bool GrammarState::may_end() const {
  return !ended_ && stack_.empty() && (state_ & GrammarAutomaton::kExit) != 0;
}

}  // namespace nautile
