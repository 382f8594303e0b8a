// grammar_automaton.h — a GrammarNfa made deterministic as it is used: states, frames and moves.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <unordered_map>
#include <vector>

#include "text/grammar_nfa.h"

namespace nautile {

using StateId = std::uint32_t;
using FrameId = std::uint32_t;

// Two numbers as one key.
inline std::uint64_t pair_key(std::uint32_t a, std::uint32_t b) {
  return std::uint64_t{a} << 32 | b;
}

// A deterministic pushdown automaton over symbol classes, computed lazily.
//
// A configuration is a node and a frame: where its rule goes on when it ends. All calls of one rule
// at one place in the text share one frame, which is the set of their return configurations; so
// ambiguity costs sets and never a number of stacks. A state is the set of configurations that can
// read, with frames counted from a base; what lies under the base is a stack of frames that the
// caller keeps. States are therefore independent of how deep they stand.
//
// Not safe for concurrent use. Memory grows with the states visited; bytes() says how far.
class GrammarAutomaton {
 public:
  static constexpr StateId kDead = 0;
  static constexpr FrameId kBase = 0;
  // A state's flag: the text of the frame may end here. With frames below, resolve() must follow.
  static constexpr StateId kExit = StateId{1} << 31;

  struct Config {
    NodeId node;
    FrameId frame;
    bool operator==(const Config&) const = default;
    bool operator<(const Config& o) const {
      return node != o.node ? node < o.node : frame < o.frame;
    }
  };
  struct Move {
    StateId state = kDead;  // with kExit
    FrameId push = kBase;   // to be put onto the stack before anything else; kBase: nothing
    bool operator==(const Move&) const = default;
  };

  explicit GrammarAutomaton(const GrammarNfa& nfa) : GrammarAutomaton(nfa, Copy{}) {}
  const GrammarNfa& nfa() const { return nfa_; }

  // The moves below throw Error(unsupported) when one set exceeds kMaxConfigs, all of them
  // kMaxBytes, or the work since begin_question() kMaxWork configurations.
  static constexpr std::size_t kMaxConfigs = 10'000;
  static constexpr std::size_t kMaxBytes = std::size_t{256} << 20;
  static constexpr std::size_t kMaxWork = 4'000'000;
  void begin_question() { work_ = 0; }
  Move start();
  // One symbol class further; state without kExit or at the bottom of the stack.
  Move step(StateId state, std::uint16_t c) {
    const Move move = rows_[std::size_t{state & ~kExit} * nfa_.class_count() + c];
    return move.state != kUnknown ? move : compute_step(state & ~kExit, c);
  }
  // A state that may exit, above `frame`: both together, as one state above what is below the
  // frame.
  Move resolve(StateId state, FrameId frame);

  // Symbols of the shortest text to the end of the frame; of a frame's own.
  std::uint32_t shortest(StateId state) const { return states_[state & ~kExit].shortest; }
  std::uint32_t frame_shortest(FrameId frame) const { return frames_[frame].shortest; }
  // The smallest first symbol of the shortest texts; only where shortest() > 0.
  Symbol first_of_shortest(StateId state) const;
  // The one symbol that can follow, or -1.
  int only_symbol(StateId state) const;

  // The state and frame with the steps of counted repetitions moved to where they behave alike for
  // the next `symbols` symbols.
  StateId representative(StateId state, std::uint32_t symbols);
  FrameId frame_representative(FrameId frame, std::uint32_t symbols);

  std::span<const Config> configs(StateId state) const { return span_of(states_[state & ~kExit]); }
  std::span<const Config> frame_configs(FrameId frame) const { return span_of(frames_[frame]); }
  // States and frames of another automaton of the same network.
  StateId adopt(const GrammarAutomaton& other, StateId state);
  FrameId adopt_frame(const GrammarAutomaton& other, FrameId frame);

  std::size_t bytes() const;
  std::size_t state_count() const { return states_.size(); }

 private:
  struct Copy {};
  GrammarAutomaton(const GrammarNfa& nfa, Copy);
  static constexpr StateId kUnknown = ~kExit;
  struct Set {
    std::uint32_t begin = 0, count = 0;  // in configs_
    std::uint32_t shortest = 0;
  };
  struct Call {
    std::uint32_t rank;
    RuleId rule;
    Config after;
  };

  std::span<const Config> span_of(const Set& s) const {
    return std::span(configs_).subspan(s.begin, s.count);
  }
  std::uint32_t shortest_of(std::span<const Config> configs) const;
  std::uint32_t intern(std::vector<Set>& sets,
                       std::unordered_multimap<std::uint64_t, std::uint32_t>& index,
                       std::span<const Config> configs, std::uint64_t salt);
  FrameId frame_of(std::vector<Config>& configs);
  Move compute_step(StateId state, std::uint16_t c);
  FrameId rebase(FrameId frame, FrameId base);
  // Closes over forks, calls and ends whatever is in kernel_.
  Move close();
  void enter(const Config& config, FrameId own);
  void visit(NodeId node, FrameId frame);
  StateId state_of(std::vector<Config>& configs, bool exit);

  const GrammarNfa& nfa_;
  std::vector<Config> configs_;
  std::vector<Set> states_, frames_;
  std::unordered_multimap<std::uint64_t, std::uint32_t> state_index_, frame_index_;
  std::vector<Move> rows_;  // [states, classes]
  std::unordered_map<std::uint64_t, Move> resolved_;
  std::unordered_map<std::uint64_t, FrameId> rebased_;
  std::unordered_map<std::uint32_t, StateId> state_representatives_, frame_representatives_;

  // Scratch of close().
  std::vector<Config> kernel_, closed_;
  std::vector<Call> calls_;
  std::vector<std::uint64_t> seen_;  // open addressing; an entry counts if its epoch is current
  std::vector<std::uint32_t> seen_epoch_;
  std::uint32_t epoch_ = 0;
  std::size_t seen_count_ = 0;
  bool exit_ = false;
  std::size_t work_ = 0;
};

}  // namespace nautile
