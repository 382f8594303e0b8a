// pre_tokenizer.h — cuts text into the pieces that byte-pair encoding never merges across.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace nautile {

// Takes pieces in order. A piece is valid only during the call.
class PieceSink {
 public:
  virtual ~PieceSink() = default;
  virtual void piece(std::string_view text) = 0;
};

// One stage: cuts a non-empty piece of valid UTF-8 into non-empty pieces. Immutable, thread-safe.
class SplitStep {
 public:
  virtual ~SplitStep() = default;
  virtual void split(std::string_view text, PieceSink& out) const = 0;
};

// What becomes of the matches of a pattern (names as in tokenizer.json).
enum class SplitBehavior { isolated, removed, merged_with_previous, merged_with_next, contiguous };
enum class SplitInvert { no, yes };  // yes: the pattern describes what lies between the matches

// Stages applied one after another, each to the pieces that the one before it leaves.
class PreTokenizer {
 public:
  void add(std::unique_ptr<const SplitStep> step) { steps_.push_back(std::move(step)); }
  std::size_t size() const { return steps_.size(); }
  // Nothing for an empty text. Throws Error(unsupported) if a foreign pattern exceeds its budget.
  void split(std::string_view text, PieceSink& out) const;

 private:
  std::vector<std::unique_ptr<const SplitStep>> steps_;
};

// A stage for a pattern of tokenizer.json: hand-written if it is one of the published patterns that
// split_known.h lists and the matches are isolated, else PCRE2.
// Throws Error(unsupported) for a pattern that cannot be run, naming what in it.
std::unique_ptr<const SplitStep> make_regex_step(const std::string& pattern, SplitBehavior behavior,
                                                 SplitInvert invert);
// The same for a literal string.
std::unique_ptr<const SplitStep> make_string_step(const std::string& literal,
                                                  SplitBehavior behavior, SplitInvert invert);
// Every \p{N} alone, or runs of them.
enum class DigitRuns { single, runs };
std::unique_ptr<const SplitStep> make_digits_step(DigitRuns runs);
// Puts a space before a piece that does not begin with one.
std::unique_ptr<const SplitStep> make_prefix_space_step();
// The stages that a GGUF file means by `tokenizer.ggml.pre`. Throws Error(unsupported) listing the
// known names.
PreTokenizer pre_tokenizer_by_name(std::string_view pre);

}  // namespace nautile
