#include "text/grammar.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "base/error.h"
#include "text/grammar_plan.h"
#include "text/grammar_walk.h"

namespace nautile {
namespace {

std::string mask_key(StateId state, std::span<const FrameId> stack) {
  std::string key(reinterpret_cast<const char*>(&state), sizeof(state));
  key.append(reinterpret_cast<const char*>(stack.data()), stack.size_bytes());
  return key;
}

}  // namespace

// One automaton and the masks made with it; everything under its mutex.
struct CompiledGrammar::Cache {
  Cache(const GrammarNfa& nfa, std::size_t max_mask_bytes)
      : automaton(nfa), max_mask_bytes(max_mask_bytes) {}

  const TokenMask& mask(GrammarWalk& walk, StateId state, std::span<const FrameId> stack,
                        const GrammarVocabulary& vocabulary) {
    // Steps of counted repetition that no token can tell apart share a mask.
    const auto most = static_cast<std::uint32_t>(vocabulary.max_bytes());
    const StateId like = automaton.representative(state, most);
    std::vector<FrameId> stack_like(stack.begin(), stack.end());
    for (FrameId& frame : stack_like) frame = automaton.frame_representative(frame, most);
    const std::string key = mask_key(like, stack_like);
    if (const auto known = masks.find(key); known != masks.end()) return known->second;
    TokenMask made = walk.allowed(walk.place(like, stack_like));
    make_room(key.size() + made.bytes());
    return masks[key] = std::move(made);
  }

  // The mask of a place with few tokens left, where that is asked for again; false where it is not:
  // most places are asked once.
  bool tight(GrammarWalk& walk, StateId state, std::span<const FrameId> stack, std::uint32_t budget,
             std::span<std::uint64_t> mask) {
    const std::string key = mask_key(state, stack);
    auto known = needs.find(key);
    if (known == needs.end()) {
      make_room(key.size());
      needs[key];
      return false;
    }
    if (known->second.empty()) {
      std::vector<TokenNeed> made = walk.needs(walk.place(state, stack));
      std::size_t bytes = 0;
      for (const TokenNeed& need : made) bytes += sizeof(need) + need.mask.bytes();
      make_room(bytes);
      known = needs.insert_or_assign(key, std::move(made)).first;
    }
    for (const TokenNeed& need : known->second) {
      if (need.tokens < budget) need.mask.add_to(mask);
    }
    return true;
  }

  void make_room(std::size_t bytes) {
    if (mask_bytes > max_mask_bytes) {
      masks.clear();
      needs.clear();
      mask_bytes = 0;
    }
    mask_bytes += bytes;
  }

  std::mutex mutex;
  GrammarAutomaton automaton;
  std::unordered_map<std::string, TokenMask> masks;
  std::unordered_map<std::string, std::vector<TokenNeed>> needs;  // empty: asked once
  std::size_t mask_bytes = 0, max_mask_bytes;
};

CompiledGrammar::CompiledGrammar(const GrammarPlan& plan, const GrammarVocabulary& vocabulary,
                                 std::size_t max_bytes)
    : vocabulary_(vocabulary), max_bytes_(max_bytes) {
  GrammarRules rules;
  const RuleId root = add_plan(rules, plan, vocabulary);
  nfa_ = std::make_unique<const GrammarNfa>(rules, root, vocabulary);
  plain_ = std::make_unique<const PlainClasses>(*nfa_);
  cache_ = std::make_shared<Cache>(*nfa_, max_bytes_ / 3);
  GrammarWalk walk(cache_->automaton, vocabulary_, *plain_);
  least_tokens_ = walk.tokens_to_end(walk.settle(cache_->automaton.start(), {}));
}

CompiledGrammar::~CompiledGrammar() = default;

std::shared_ptr<CompiledGrammar::Cache> CompiledGrammar::cache() const {
  const std::lock_guard lock(mutex_);
  const std::shared_ptr<Cache> present = cache_;  // lives until its mutex is free
  const std::lock_guard inner(present->mutex);
  if (present->automaton.bytes() > max_bytes_ / 3 * 2) {
    cache_ = std::make_shared<Cache>(*nfa_, max_bytes_ / 3);
  }
  return cache_;
}

std::size_t CompiledGrammar::bytes() const {
  const std::lock_guard lock(mutex_);
  const std::lock_guard inner(cache_->mutex);
  return nfa_->bytes() + cache_->automaton.bytes() + cache_->mask_bytes;
}

GrammarState::GrammarState(std::shared_ptr<const CompiledGrammar> grammar)
    : grammar_(std::move(grammar)), cache_(grammar_->cache()) {
  const std::lock_guard lock(cache_->mutex);
  GrammarWalk walk(cache_->automaton, grammar_->vocabulary_, *grammar_->plain_);
  const auto place = walk.settle(cache_->automaton.start(), GrammarWalk::kEmptyStack);
  state_ = place.state;
  stack_ = walk.stack_of(place);
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
  GrammarWalk walk(cache_->automaton, vocabulary, *grammar_->plain_);
  const TokenMask& all = cache_->mask(walk, state_, stack_, vocabulary);
  if (budget == kNoBudget || all.longest_rest + 2ull <= budget) {
    all.add_to(mask);
    return;
  }
  const auto place = walk.place(state_, stack_);
  if (walk.shortest(place) + 1ull > budget && walk.tokens_to_end(place) > budget) {
    fail(ErrorKind::bad_input,
         "the text cannot end within {} tokens: the grammar needs {} of them from here", budget,
         walk.tokens_to_end(place));
  }
  if (!cache_->tight(walk, state_, stack_, budget, mask)) {
    walk.allowed_within(place, budget - 1, mask);
  }
}

bool GrammarState::accept(TokenId token) {
  const GrammarVocabulary& vocabulary = grammar_->vocabulary_;
  if (ended_ || token < 0 || token >= vocabulary.size()) return false;
  refresh();
  const std::lock_guard lock(cache_->mutex);
  GrammarWalk walk(cache_->automaton, vocabulary, *grammar_->plain_);
  auto place = walk.place(state_, stack_);
  const auto& ends = vocabulary.end_ids();
  if (GrammarWalk::may_end(place) && std::find(ends.begin(), ends.end(), token) != ends.end()) {
    ended_ = true;
    return true;
  }
  const auto& named = grammar_->nfa_->tokens();
  const auto found = std::find(named.begin(), named.end(), token);
  if (found != named.end()) {
    place = walk.step_symbol(place, static_cast<Symbol>(256 + (found - named.begin())));
  } else if (const std::string& bytes = vocabulary.bytes(token); !bytes.empty()) {
    place = walk.step_bytes(place, bytes);
  } else {
    return false;
  }
  if (place.dead()) return false;
  state_ = place.state;
  stack_ = walk.stack_of(place);
  return true;
}

std::string GrammarState::forced() const {
  constexpr std::size_t kMost = 4096;
  std::string bytes;
  if (ended_) return bytes;
  refresh();
  const std::lock_guard lock(cache_->mutex);
  GrammarWalk walk(cache_->automaton, grammar_->vocabulary_, *grammar_->plain_);
  auto place = walk.place(state_, stack_);
  while (bytes.size() < kMost && !GrammarWalk::may_end(place)) {
    const int symbol = cache_->automaton.only_symbol(place.state);
    if (symbol < 0 || symbol >= 256) break;
    bytes.push_back(static_cast<char>(symbol));
    place = walk.step_symbol(place, static_cast<Symbol>(symbol));
  }
  return bytes;
}

std::uint32_t GrammarState::tokens_to_end() const {
  if (ended_) return 0;
  refresh();
  const std::lock_guard lock(cache_->mutex);
  GrammarWalk walk(cache_->automaton, grammar_->vocabulary_, *grammar_->plain_);
  return walk.tokens_to_end(walk.place(state_, stack_));
}

bool GrammarState::may_end() const {
  return !ended_ && stack_.empty() && (state_ & GrammarAutomaton::kExit) != 0;
}

}  // namespace nautile
