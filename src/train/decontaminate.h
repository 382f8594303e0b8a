// decontaminate.h — Decontaminator: finds stretches of evaluation sets in training text.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace nautile::train {

// An n-gram of words that a text shares with an evaluation set (case and punctuation do not count;
// see words.h). Items shorter than n words, down to kLeastWords, are looked for as a whole; shorter
// ones say too little and are left out. (n = 13 as in the GPT-3 paper, appendix C.)
class Decontaminator {
 public:
  static constexpr std::size_t kLeastWords = 8;

  // n >= kLeastWords, else Error(usage).
  explicit Decontaminator(std::size_t n);

  // Adds one item (a question, an answer) of a set.
  void add(const std::string& set, std::string_view item);
  // Adds a file: every text of each JSON line (.jsonl, .jsonl.zst), or the whole of another file as
  // one item. Throws Error as TextInput and parse_json do.
  void add_file(const std::string& path);

  struct Hit {
    std::string set;
    std::size_t word = 0, words = 0;  // the stretch in the text's words
  };
  // The first stretch in a text given by its words' hashes.
  std::optional<Hit> find(std::span<const std::uint64_t> words) const;

  bool empty() const { return grams_.empty(); }
  std::size_t grams() const { return grams_.size(); }
  std::size_t items() const { return items_; }
  std::size_t too_short() const { return too_short_; }

 private:
  std::size_t n_;
  std::size_t items_ = 0, too_short_ = 0;
  std::vector<std::string> sets_;
  std::vector<std::size_t> lengths_;  // that occur among the n-grams, descending
  std::unordered_map<std::uint64_t, std::uint32_t> grams_;  // hash of words and length -> set
};

}  // namespace nautile::train
