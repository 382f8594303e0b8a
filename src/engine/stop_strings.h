// stop_strings.h — finds stop strings in text that comes in pieces, and never lets out a part of
// one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace nautile::engine {

// The match that ends first wins; of several that end at one byte, the longest. What is let out
// joined is the text before the match, however the text was cut into pieces. Costs O(bytes ·
// stops).
class StopStrings {
 public:
  // Throws Error(usage) for an empty stop string and for one that begins inside a character.
  explicit StopStrings(std::vector<std::string> stops);

  // Takes the next piece -> text that can no longer belong to a stop string. Pieces of whole
  // characters give whole characters. After a match: nothing more.
  std::string feed(std::string_view piece);
  // The end of the text -> what was held back.
  std::string flush();

  bool stopped() const { return stopped_; }
  const std::string& matched() const { return matched_; }  // the stop string found, or ""
  // Forgets the text, keeps the stop strings.
  void reset();

 private:
  // Knuth, Morris, Pratt: `fallback[n]` is the longest proper border of the first n bytes.
  struct Pattern {
    std::string text;
    std::vector<std::size_t> fallback;
    std::size_t state = 0;  // bytes of `text` that the end of what was fed spells

    void advance(char byte);
  };

  std::vector<Pattern> patterns_;
  std::string held_;
  std::string matched_;
  bool stopped_ = false;
};

}  // namespace nautile::engine
