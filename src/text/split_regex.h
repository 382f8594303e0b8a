// split_regex.h — foreign split patterns, run by PCRE2 with the meaning that Oniguruma gives them.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "text/pre_tokenizer.h"

namespace nautile {

// Rewrites an Oniguruma (Ruby syntax) pattern for PCRE2: \s \d \w \h as Unicode sets, \p{Script} as
// that script and not its extensions, ^ and $ at lines. Throws Error(unsupported) for what differs
// and is not rewritten (nested sets, &&, \b, back-references, conditionals, ...).
std::string translate_pattern(std::string_view pattern);

// A compiled pattern. Differences left: \p{...} knows Unicode 14.
class SplitRegex {
 public:
  // Throws Error(unsupported) naming the place in the pattern.
  explicit SplitRegex(const std::string& pattern);
  ~SplitRegex();
  SplitRegex(const SplitRegex&) = delete;
  SplitRegex& operator=(const SplitRegex&) = delete;

  // State of one pass over one text.
  class Pass {
   public:
    Pass(const SplitRegex& regex, std::string_view text);
    ~Pass();
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;
    // The next match in order, empty ones too. Throws Error(unsupported) past the match limits
    // (steps: 10 million and 64 a byte; memory: 256 MiB).
    bool next(std::size_t& begin, std::size_t& end);

   private:
    struct State;
    std::unique_ptr<State> state_;
  };

 private:
  struct Code;
  std::unique_ptr<Code> code_;
};

}  // namespace nautile
