// detokenizer.h — ids to text as they come, in whole characters.
#pragma once

#include <span>
#include <string>

#include "text/tokenizer.h"

namespace nautile {

// Everything fed, plus flush(), joined, equals Tokenizer::decode of all the ids. What comes out at
// each step is valid UTF-8: a character's bytes wait until it is whole, and what can no more become
// one is U+FFFD. The tokenizer must outlive this.
class Detokenizer {
 public:
  Detokenizer(const Tokenizer& tokenizer, SkipSpecial skip) : tokenizer_(tokenizer), skip_(skip) {}

  std::string feed(TokenId id);
  std::string feed(std::span<const TokenId> ids);
  // The end: an unfinished character comes out as U+FFFD. Ready for another text afterwards.
  std::string flush();
  // Whether bytes of an unfinished character are waiting (at most 3).
  bool pending() const { return !held_.empty(); }

 private:
  std::string drain();

  const Tokenizer& tokenizer_;
  SkipSpecial skip_;
  std::string held_;
};

}  // namespace nautile
