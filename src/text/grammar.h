// grammar.h — constrained decoding: which tokens may come next, so that a text fits a grammar.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/grammar_vocabulary.h"

namespace nautile {

enum class GrammarKind : std::uint8_t {
  json_schema,  // text: a schema, draft 2020-12, of the subset in grammar_schema.h
  json_object,  // any JSON object; text is not read
  gbnf,         // text: llama.cpp's dialect of EBNF, see grammar_gbnf.h; from the rule "root"
  regex,        // text: an expression that the whole output matches, see grammar_regex.h
  literal,      // text: itself; special tokens' texts in it are those tokens
};

// Between the parts of JSON; there is none before or after the whole.
enum class JsonSpace : std::uint8_t {
  flexible,  // a blank, or one or two line ends with blanks or tabs; at most kMaxIndent
  compact,   // none
};

struct GrammarSpec {
  GrammarKind kind = GrammarKind::json_object;
  std::string text;
  JsonSpace space = JsonSpace::flexible;
};

// Free text before the constrained one: reasoning, or an answer that may call a tool.
struct FreeText {
  // It runs until the first of these has been said; a text that is a special token's may be said as
  // that token. Not empty, and at most 16 of at most 64 bytes.
  std::vector<std::string> until;
  enum class End : std::uint8_t { trigger_only, anywhere } end = End::trigger_only;
  std::string opened_by = {};  // not empty: it is there only if it begins with this text
  std::uint32_t blanks = 0;    // blanks, tabs and line ends that may follow the trigger, at most
};

// The whole output: free texts in order, then `opening`, then one of `choices`, up to `most` times
// with `separator` between, then `closing`; instead of all from `opening` on it may be one of
// `answers`. An answer by a schema is one choice. Of tools, each is a choice: what is written
// before the arguments, their schema, what comes after; with tool_choice auto the calls follow a
// FreeText that may end anywhere and ends with the format's opening, with required they follow
// `opening` itself.
struct GrammarPlan {
  using Parts = std::vector<GrammarSpec>;  // one after another
  std::vector<FreeText> free_texts = {};
  std::string opening = {};
  std::vector<Parts> choices;
  std::uint32_t least = 1, most = 1;  // of choices, 1 <= least <= most; kForever: no end
  std::string separator = {}, closing = {};
  std::vector<Parts> answers = {};

  static constexpr std::uint32_t kForever = 0xFFFFFFFF;
  static GrammarPlan of(GrammarSpec spec) { return {.choices = {{std::move(spec)}}}; }
};

class GrammarNfa;
struct GrammarPlace;
struct PlainClasses;

// A plan made ready for one vocabulary. Const use from many threads is safe; questions to one
// grammar wait for each other.
class CompiledGrammar {
 public:
  static constexpr std::size_t kMaxBytes = std::size_t{24} << 20;

  // Throws Error(bad_input) for what is malformed or impossible and Error(unsupported) for what the
  // subset leaves out or what exceeds its limits, both with the place. The vocabulary must outlive
  // it. `max_bytes` is about where what was computed along the way is dropped, to be computed
  // again.
  CompiledGrammar(const GrammarPlan& plan, const GrammarVocabulary& vocabulary,
                  std::size_t max_bytes = kMaxBytes);
  ~CompiledGrammar();

  // Tokens, the end token included, that some text comes to; a generation with a budget of fewer
  // cannot be promised an end. Few texts take fewer still: this is the number for the shortest text
  // by bytes.
  std::uint32_t least_tokens() const { return least_tokens_; }
  const GrammarVocabulary& vocabulary() const { return vocabulary_; }
  // What it holds in memory now; grows with the states visited.
  std::size_t bytes() const;

 private:
  friend class GrammarState;
  struct Cache;  // a lazily built automaton and its masks
  std::shared_ptr<Cache> cache() const;

  const GrammarVocabulary& vocabulary_;
  std::unique_ptr<const GrammarNfa> nfa_;
  std::unique_ptr<const PlainClasses> plain_;
  std::uint32_t least_tokens_ = 0;
  std::size_t max_bytes_;
  mutable std::mutex mutex_;
  mutable std::shared_ptr<Cache> cache_;  // replaced when it has grown too large
};

// Where one sequence stands in its grammar: a value, cheap to copy; a copy is how to come back.
class GrammarState {
 public:
  static constexpr std::uint32_t kNoBudget = 0xFFFFFFFF;

  explicit GrammarState(std::shared_ptr<const CompiledGrammar> grammar);

  // Fills the mask [mask_words()] of the vocabulary: bit i tells whether token i may come next.
  // With `budget` tokens left, only tokens after which budget - 1 tokens can end the text; whoever
  // began with at least CompiledGrammar::least_tokens() and counts down always finds one.
  // Throws Error(bad_input) where budget < tokens_to_end(), Error(unsupported) when a limit of the
  // automaton is exceeded: the sequence cannot go on.
  void allowed(std::span<std::uint64_t> mask, std::uint32_t budget = kNoBudget) const;
  // Goes on by a token; false, and nothing changes, if it is not allowed. An end token ends.
  bool accept(TokenId token);
  // The bytes that must come next, up to where there is a choice; maybe none. Jump-forward decoding
  // tokenizes them with what precedes.
  std::string forced() const;
  // Tokens, the end token included, that end the text from here.
  std::uint32_t tokens_to_end() const;

  bool may_end() const;  // the end token is allowed
  bool ended() const { return ended_; }
  const CompiledGrammar& grammar() const { return *grammar_; }

 private:
  void refresh() const;  // moves to the grammar's present cache
  void stand(const GrammarPlace& place);

  std::shared_ptr<const CompiledGrammar> grammar_;
  // Where it stands, in numbers of cache_; const questions may renumber it.
  mutable std::shared_ptr<CompiledGrammar::Cache> cache_;
  mutable std::uint32_t state_ = 0;
  mutable std::vector<std::uint32_t> stack_;
  bool ended_ = false;
};

// Compiled grammars by plan and vocabulary, the least recently asked for dropped when they come to
// more than `bytes`. Safe for concurrent use: a plan asked for twice at once is compiled once.
class GrammarCache {
 public:
  explicit GrammarCache(std::size_t bytes);
  ~GrammarCache();

  // Errors as CompiledGrammar's; they are not kept.
  std::shared_ptr<const CompiledGrammar> get(const GrammarPlan& plan,
                                             const GrammarVocabulary& vocabulary);
  struct Counts {
    std::uint64_t hits = 0, misses = 0;
    std::size_t grammars = 0, bytes = 0;
  };
  Counts counts() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nautile
