#include "text/grammar_automaton.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace nautile {
namespace {

std::uint64_t mix(std::uint64_t h) {
  h = (h ^ (h >> 32)) * 0xD6E8FEB86659FD93u;
  return h ^ (h >> 32);
}

}  // namespace

GrammarAutomaton::GrammarAutomaton(const GrammarNfa& nfa, Copy) : nfa_(nfa) {
  // Nothing at all: the dead state, and the base frame.
  states_.push_back({0, 0, GrammarNfa::kUnreachable});
  frames_.push_back({});
  rows_.assign(nfa.class_count(), Move{});
  seen_.resize(256);
  seen_epoch_.resize(256);
}

std::uint32_t GrammarAutomaton::shortest_of(std::span<const Config> configs) const {
  std::uint32_t best = GrammarNfa::kUnreachable;
  for (const Config& c : configs) {
    const std::uint64_t sum = std::uint64_t{nfa_.shortest(c.node)} + frames_[c.frame].shortest;
    best = static_cast<std::uint32_t>(std::min<std::uint64_t>(best, sum));
  }
  return best;
}

std::uint32_t GrammarAutomaton::intern(std::vector<Set>& sets,
                                       std::unordered_multimap<std::uint64_t, std::uint32_t>& index,
                                       std::span<const Config> configs, std::uint64_t salt) {
  std::uint64_t hash = salt;
  for (const Config& c : configs) hash = mix(hash * 31 + pair_key(c.node, c.frame));
  const auto [begin, end] = index.equal_range(hash);
  for (auto it = begin; it != end; ++it) {
    const auto known = span_of(sets[it->second]);
    if (std::equal(known.begin(), known.end(), configs.begin(), configs.end())) return it->second;
  }
  const auto id = static_cast<std::uint32_t>(sets.size());
  const Set set{static_cast<std::uint32_t>(configs_.size()),
                static_cast<std::uint32_t>(configs.size()), shortest_of(configs)};
  configs_.insert(configs_.end(), configs.begin(), configs.end());
  sets.push_back(set);
  index.emplace(hash, id);
  return id;
}

// The frame of these return configurations; the end of a rule returns to where that returns.
FrameId GrammarAutomaton::frame_of(std::vector<Config>& configs) {
  for (std::size_t i = 0; i < configs.size();) {
    if (configs[i].node != GrammarNfa::kEnd || configs[i].frame == kBase) {
      ++i;
      continue;
    }
    const auto outer = frame_configs(configs[i].frame);
    configs[i] = configs.back();
    configs.pop_back();
    configs.insert(configs.end(), outer.begin(), outer.end());
  }
  std::sort(configs.begin(), configs.end());
  configs.erase(std::unique(configs.begin(), configs.end()), configs.end());
  if (configs.size() == 1 && configs[0].node == GrammarNfa::kEnd) return kBase;
  return intern(frames_, frame_index_, configs, 1);
}

// An exit is kept as a configuration of its own, at the end of the base.
StateId GrammarAutomaton::state_of(std::vector<Config>& configs, bool exit) {
  if (exit) configs.push_back({GrammarNfa::kEnd, kBase});
  if (configs.empty()) return kDead;
  std::sort(configs.begin(), configs.end());
  configs.erase(std::unique(configs.begin(), configs.end()), configs.end());
  const StateId id = intern(states_, state_index_, configs, 2);
  if (rows_.size() < states_.size() * nfa_.class_count()) {
    rows_.resize(states_.size() * nfa_.class_count(), Move{kUnknown, kBase});
    rows_[std::size_t{id} * nfa_.class_count()] = Move{};
  }
  return exit ? id | kExit : id;
}

void GrammarAutomaton::visit(NodeId node, FrameId frame) {
  if (nfa_.reachable(node)) kernel_.push_back({node, frame});
}

// Takes one configuration; `own` is the frame whose end is already taken care of.
void GrammarAutomaton::enter(const Config& config, FrameId own) {
  const GrammarNfa::Node n = nfa_.node(config.node);
  const auto call = [&](RuleId rule, NodeId after) {
    if (!nfa_.reachable(nfa_.start(rule)) || !nfa_.reachable(after)) return;
    if (nfa_.nullable(rule)) kernel_.push_back({after, config.frame});
    calls_.push_back({nfa_.rank(rule), rule, {after, config.frame}});
  };
  switch (n.kind) {
    case GrammarNfa::Kind::read:
      closed_.push_back(config);
      break;
    case GrammarNfa::Kind::fork:
      for (const NodeId target : nfa_.targets(n)) visit(target, config.frame);
      break;
    case GrammarNfa::Kind::call:
      call(n.a, n.b);
      break;
    case GrammarNfa::Kind::step: {
      const GrammarNfa::Region& region = nfa_.region_of(config.node);
      const std::uint32_t done = config.node - region.first;
      if (done >= region.min) visit(region.exit, config.frame);
      if (done < region.max) call(region.rule, config.node + 1);
      break;
    }
    case GrammarNfa::Kind::end:
      if (config.frame == own) break;
      if (config.frame == kBase) {
        exit_ = true;
      } else {
        for (const Config& c : frame_configs(config.frame)) kernel_.push_back(c);
      }
      break;
  }
}

GrammarAutomaton::Move GrammarAutomaton::close() {
  closed_.clear();
  calls_.clear();
  exit_ = false;
  seen_count_ = 0;
  if (++epoch_ == 0) {
    std::fill(seen_epoch_.begin(), seen_epoch_.end(), 0);
    epoch_ = 1;
  }
  const auto fresh = [&](const Config& c) {
    if (seen_count_ * 2 >= seen_.size()) {
      const auto old = std::move(seen_);
      const auto old_epoch = std::move(seen_epoch_);
      seen_.assign(old.size() * 2, 0);
      seen_epoch_.assign(old.size() * 2, 0);
      for (std::size_t i = 0; i < old.size(); ++i) {
        if (old_epoch[i] != epoch_) continue;
        std::size_t at = mix(old[i]) & (seen_.size() - 1);
        while (seen_epoch_[at] == epoch_) at = (at + 1) & (seen_.size() - 1);
        seen_[at] = old[i];
        seen_epoch_[at] = epoch_;
      }
    }
    const std::uint64_t key = pair_key(c.node, c.frame);
    std::size_t at = mix(key) & (seen_.size() - 1);
    for (; seen_epoch_[at] == epoch_; at = (at + 1) & (seen_.size() - 1)) {
      if (seen_[at] == key) return false;
    }
    seen_[at] = key;
    seen_epoch_[at] = epoch_;
    if (++seen_count_ > kMaxConfigs) {
      throw make_error(ErrorKind::unsupported,
                       "the grammar is too ambiguous: more than {} ways to read the text so far",
                       kMaxConfigs)
          .hint("fewer alternatives that begin alike, or smaller counts of repetition");
    }
    return true;
  };
  constexpr FrameId kNone = ~FrameId{0};
  const auto drain = [&](FrameId own) {
    while (!kernel_.empty()) {
      const Config config = kernel_.back();
      kernel_.pop_back();
      if (fresh(config)) enter(config, own);
    }
  };
  try {
    drain(kNone);
    // Rules in order of rank, so that all calls of a rule are known before it is entered.
    const auto later = [](const Call& a, const Call& b) { return a.rank > b.rank; };
    std::size_t heaped = 0;
    std::vector<Config> returns;
    while (!calls_.empty()) {
      while (heaped < calls_.size()) {
        std::push_heap(calls_.begin(), calls_.begin() + static_cast<std::ptrdiff_t>(++heaped),
                       later);
      }
      const RuleId rule = calls_.front().rule;
      returns.clear();
      while (!calls_.empty() && calls_.front().rule == rule) {
        returns.push_back(calls_.front().after);
        std::pop_heap(calls_.begin(), calls_.end(), later);
        calls_.pop_back();
        --heaped;
      }
      const FrameId frame = frame_of(returns);
      kernel_.push_back({nfa_.start(rule), frame});
      drain(frame);
    }
  } catch (...) {
    kernel_.clear();
    throw;
  }
  if (work_ += seen_count_; work_ > kMaxWork || bytes() > kMaxBytes) {
    fail(ErrorKind::unsupported, "the grammar takes too much {} to follow: too ambiguous",
         work_ > kMaxWork ? "work" : "memory");
  }
  Move move;
  if (!exit_ && !closed_.empty() && closed_[0].frame != kBase) {
    const FrameId frame = closed_[0].frame;
    const auto same = [&](const Config& c) { return c.frame == frame; };
    if (std::all_of(closed_.begin(), closed_.end(), same)) {
      move.push = frame;
      for (Config& c : closed_) c.frame = kBase;
    }
  }
  move.state = state_of(closed_, exit_);
  return move;
}

GrammarAutomaton::Move GrammarAutomaton::start() {
  kernel_.push_back({nfa_.start(nfa_.root()), kBase});
  return close();
}

GrammarAutomaton::Move GrammarAutomaton::compute_step(StateId state, std::uint16_t c) {
  const Symbol symbol = nfa_.representative(c);
  const Set set = states_[state];
  for (std::uint32_t i = set.begin; i < set.begin + set.count; ++i) {
    const Config config = configs_[i];
    const GrammarNfa::Node n = nfa_.node(config.node);
    if (n.kind != GrammarNfa::Kind::read) continue;
    for (const GrammarNfa::Edge& edge : nfa_.edges(n)) {
      if (edge.first <= symbol && symbol <= edge.last) visit(edge.target, config.frame);
    }
  }
  const Move move = kernel_.empty() ? Move{} : close();
  rows_[std::size_t{state} * nfa_.class_count() + c] = move;
  return move;
}

// The frame with `base` put under it.
FrameId GrammarAutomaton::rebase(FrameId frame, FrameId base) {
  if (frame == kBase) return base;
  if (const auto known = rebased_.find(pair_key(frame, base)); known != rebased_.end()) {
    return known->second;
  }
  std::vector<Config> configs(frame_configs(frame).begin(), frame_configs(frame).end());
  for (Config& c : configs) c.frame = rebase(c.frame, base);
  const FrameId result = frame_of(configs);
  rebased_.emplace(pair_key(frame, base), result);
  return result;
}

GrammarAutomaton::Move GrammarAutomaton::resolve(StateId state, FrameId frame) {
  const std::uint64_t key = pair_key(state & ~kExit, frame);
  if (const auto known = resolved_.find(key); known != resolved_.end()) return known->second;
  const std::vector<Config> inner(configs(state).begin(), configs(state).end());
  std::vector<Config> kernel;
  for (const Config& c : inner) {
    if (c.node != GrammarNfa::kEnd) kernel.push_back({c.node, rebase(c.frame, frame)});
  }
  const auto outer = frame_configs(frame);
  kernel.insert(kernel.end(), outer.begin(), outer.end());
  kernel_ = std::move(kernel);
  const Move move = close();
  resolved_.emplace(key, move);
  return move;
}

Symbol GrammarAutomaton::first_of_shortest(StateId state) const {
  const std::uint32_t best = shortest(state);
  Symbol first = 0xFFFF;
  for (const Config& c : configs(state)) {
    const GrammarNfa::Node n = nfa_.node(c.node);
    if (n.kind != GrammarNfa::Kind::read) continue;
    if (nfa_.shortest(c.node) + frames_[c.frame].shortest != best) continue;
    for (const GrammarNfa::Edge& edge : nfa_.edges(n)) {
      if (!nfa_.reachable(edge.target) || nfa_.shortest(edge.target) + 1 != nfa_.shortest(c.node)) {
        continue;
      }
      Symbol symbol = edge.first;
      while (symbol <= edge.last && nfa_.class_of(symbol) == 0) ++symbol;
      if (symbol <= edge.last) first = std::min(first, symbol);
    }
  }
  NAUTILE_ASSERT(first != 0xFFFF, "a state without a shortest text");
  return first;
}

int GrammarAutomaton::only_symbol(StateId state) const {
  int only = -1;
  for (const Config& c : configs(state)) {
    const GrammarNfa::Node n = nfa_.node(c.node);
    if (n.kind != GrammarNfa::Kind::read) return -1;
    for (const GrammarNfa::Edge& edge : nfa_.edges(n)) {
      if (!nfa_.reachable(edge.target)) continue;
      for (Symbol symbol = edge.first; symbol <= edge.last; ++symbol) {
        if (nfa_.class_of(symbol) == 0) continue;
        if (only >= 0 && only != symbol) return -1;
        only = symbol;
      }
    }
  }
  return only;
}

FrameId GrammarAutomaton::frame_representative(FrameId frame, std::uint32_t symbols) {
  if (frame == kBase || !nfa_.has_regions()) return frame;
  if (const auto known = frame_representatives_.find(frame);
      known != frame_representatives_.end()) {
    return known->second;
  }
  std::vector<Config> configs(frame_configs(frame).begin(), frame_configs(frame).end());
  for (Config& c : configs) {
    c.frame = frame_representative(c.frame, symbols);
    if (c.node < GrammarNfa::kFirstStep) continue;
    // With fewer symbols than steps to a bound, the bound cannot be felt: each step takes one or
    // more.
    const GrammarNfa::Region& region = nfa_.region_of(c.node);
    const std::uint32_t done = c.node - region.first;
    if (done >= region.min && region.max - done > symbols) {
      c.node = region.first + region.min;
    } else if (done < region.min && region.min - done > symbols) {
      c.node = region.first;
    }
  }
  const FrameId result = frame_of(configs);
  frame_representatives_.emplace(frame, result);
  return result;
}

StateId GrammarAutomaton::representative(StateId state, std::uint32_t symbols) {
  const StateId plain = state & ~kExit;
  if (!nfa_.has_regions()) return state;
  if (const auto known = state_representatives_.find(plain);
      known != state_representatives_.end()) {
    return known->second;
  }
  std::vector<Config> configs(this->configs(state).begin(), this->configs(state).end());
  for (Config& c : configs) c.frame = frame_representative(c.frame, symbols);
  std::erase_if(configs, [](const Config& c) { return c.node == GrammarNfa::kEnd; });
  const StateId result = state_of(configs, (state & kExit) != 0);
  state_representatives_.emplace(plain, result);
  return result;
}

FrameId GrammarAutomaton::adopt_frame(const GrammarAutomaton& other, FrameId frame) {
  if (frame == kBase) return kBase;
  // Frames are numbered after those that they hold.
  std::vector<FrameId> needed = {frame};
  for (std::size_t i = 0; i < needed.size(); ++i) {
    for (const Config& c : other.frame_configs(needed[i])) {
      if (c.frame != kBase && std::find(needed.begin(), needed.end(), c.frame) == needed.end()) {
        needed.push_back(c.frame);
      }
    }
  }
  std::sort(needed.begin(), needed.end());
  std::unordered_map<FrameId, FrameId> here = {{kBase, kBase}};
  for (const FrameId id : needed) {
    std::vector<Config> configs(other.frame_configs(id).begin(), other.frame_configs(id).end());
    for (Config& c : configs) c.frame = here.at(c.frame);
    here[id] = frame_of(configs);
  }
  return here.at(frame);
}

StateId GrammarAutomaton::adopt(const GrammarAutomaton& other, StateId state) {
  std::vector<Config> configs(other.configs(state).begin(), other.configs(state).end());
  std::erase_if(configs, [](const Config& c) { return c.node == GrammarNfa::kEnd; });
  for (Config& c : configs) c.frame = adopt_frame(other, c.frame);
  return state_of(configs, (state & kExit) != 0);
}

std::size_t GrammarAutomaton::bytes() const {
  constexpr std::size_t kIndexEntry = 48;  // a node of a hash table
  return configs_.size() * sizeof(Config) + rows_.size() * sizeof(Move) +
         (states_.size() + frames_.size()) * (sizeof(Set) + kIndexEntry) +
         (resolved_.size() + rebased_.size()) * kIndexEntry;
}

}  // namespace nautile
