// bpe_trainer.cpp — pair counts kept up to date by increments; a heap with lazy deletion.
#include "text/bpe_trainer.h"

#include <algorithm>
#include <array>
#include <deque>
#include <queue>
#include <unordered_map>

#include "base/error.h"
#include "text/split_known.h"
#include "text/unicode.h"

namespace nautile {
namespace {

constexpr std::size_t kChunk = std::size_t{1} << 18;  // bytes of text a thread takes at a time

// Cuts a piece at character bounds into parts of at most kLongestPiece bytes.
class CountingSink : public PieceSink {
 public:
  explicit CountingSink(PieceCounts& counts) : counts_(counts) {}
  void piece(std::string_view text) override {
    while (text.size() > BpeTrainer::kLongestPiece) {
      const std::size_t part = valid_utf8_prefix(text.substr(0, BpeTrainer::kLongestPiece));
      counts_.add(text.substr(0, part));
      text.remove_prefix(part);
    }
    counts_.add(text);
  }

 private:
  PieceCounts& counts_;
};

bool is_plain(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte > ' ' && byte < 0x7F;
}

// Ends of chunks. Both patterns end a piece after a newline that a printable ASCII character
// follows, so that cutting there changes no piece; a text without such places stays whole.
std::vector<std::size_t> chunk_ends(std::string_view text) {
  std::vector<std::size_t> ends;
  std::size_t begin = 0;
  while (text.size() - begin > kChunk) {
    std::size_t at = text.find('\n', begin + kChunk);
    while (at != text.npos && at + 1 < text.size() && !is_plain(text[at + 1])) {
      at = text.find('\n', at + 1);
    }
    if (at == text.npos || at + 1 >= text.size()) break;
    ends.push_back(at + 1);
    begin = at + 1;
  }
  ends.push_back(text.size());
  return ends;
}

std::uint64_t pair_key(TokenId left, TokenId right) {
  return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
}

// Pairs of neighbouring tokens with their counts and the words they occur in.
class PairTable {
 public:
  struct Pair {
    std::uint64_t key;
    std::int64_t count = 0;
    std::int64_t stamp = -1;           // the step that last raised the count
    std::vector<std::uint32_t> words;  // may name a word twice, or one that has the pair no more
  };

  PairTable() : slots_(std::size_t{1} << 16, 0) {}
  std::size_t size() const { return pairs_.size(); }
  Pair& operator[](std::size_t index) { return pairs_[index]; }

  // The pair's index; makes it if it is new.
  std::uint32_t find(std::uint64_t key) {
    const std::size_t mask = slots_.size() - 1;
    std::size_t slot = home(key) & mask;
    for (; slots_[slot] != 0; slot = (slot + 1) & mask) {
      if (pairs_[slots_[slot] - 1].key == key) return slots_[slot] - 1;
    }
    pairs_.push_back({.key = key, .words = {}});
    const auto index = static_cast<std::uint32_t>(pairs_.size() - 1);
    slots_[slot] = index + 1;
    if (pairs_.size() * 2 > slots_.size()) grow();
    return index;
  }

 private:
  static std::size_t home(std::uint64_t key) {
    key *= 0x9E3779B97F4A7C15u;
    return static_cast<std::size_t>(key ^ key >> 29);
  }
  void grow() {
    slots_.assign(slots_.size() * 2, 0);
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
      std::size_t slot = home(pairs_[i].key) & mask;
      while (slots_[slot] != 0) slot = (slot + 1) & mask;
      slots_[slot] = static_cast<std::uint32_t>(i + 1);
    }
  }
  std::vector<Pair> pairs_;
  std::vector<std::uint32_t> slots_;  // index + 1, 0 empty
};

// What the heap holds; on top the largest count, then the smallest pair.
struct Candidate {
  std::int64_t count;
  std::uint64_t key;
  std::uint32_t pair;
  bool operator<(const Candidate& other) const {
    return count != other.count ? count < other.count : key > other.key;
  }
};

// One training: words as runs of token ids in one array, shortened in place.
class Merger {
 public:
  Merger(const PieceCounts& counts, const BpeTrainOptions& options);
  TrainedBpe run(const BpeTrainer::Progress& progress);

 private:
  struct Word {
    std::uint64_t begin;
    std::uint32_t length;
    std::int64_t count;
  };
  void start_tokens(const std::vector<std::string>& reserved);
  void start_words(const PieceCounts& counts);
  void merge_everywhere(TokenId left, TokenId right, TokenId product, std::uint32_t pair);
  void merge_in(std::uint32_t word_index, TokenId left, TokenId right, TokenId product);
  void lower(TokenId left, TokenId right, std::int64_t by) {
    pairs_[pairs_.find(pair_key(left, right))].count -= by;
  }
  void raise(TokenId left, TokenId right, std::uint32_t word, std::int64_t by);
  // The token that the two spell, made if it is new; kNoToken if it may not be.
  TokenId product_of(TokenId left, TokenId right);

  const BpeTrainOptions& options_;
  std::vector<Word> words_;
  std::vector<TokenId> symbols_;
  PairTable pairs_;
  std::priority_queue<Candidate> heap_;
  std::vector<std::uint32_t> raised_;  // pairs whose count rose in this step
  std::int64_t step_ = 0;
  std::unordered_map<std::string, TokenId> ids_;  // kNoToken: reserved
  TrainedBpe result_;
};

Merger::Merger(const PieceCounts& counts, const BpeTrainOptions& options) : options_(options) {
  start_tokens(options.reserved);
  start_words(counts);
}

// Bytes in the order of the characters that stand for them, as in GPT-2's vocabulary.
void Merger::start_tokens(const std::vector<std::string>& reserved) {
  std::vector<std::string> bytes;
  bytes.reserve(256);
  for (int b = 0; b < 256; ++b) bytes.emplace_back(1, static_cast<char>(b));
  std::sort(bytes.begin(), bytes.end(), [](const std::string& a, const std::string& b) {
    return decode_rune(bytes_to_alphabet(a).c_str()).code <
           decode_rune(bytes_to_alphabet(b).c_str()).code;
  });
  result_.tokens = bytes;
  for (std::size_t i = 0; i < bytes.size(); ++i) ids_[bytes[i]] = static_cast<TokenId>(i);
  for (const std::string& text : reserved) {
    if (text.size() > 1) ids_[text] = kNoToken;
  }
}

void Merger::start_words(const PieceCounts& counts) {
  std::array<TokenId, 256> of_byte{};
  for (std::size_t id = 0; id < 256; ++id) {
    of_byte[static_cast<unsigned char>(result_.tokens[id][0])] = static_cast<TokenId>(id);
  }
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const std::string_view piece = counts.piece(i);
    if (piece.size() < 2) continue;  // nothing to merge
    const auto word = static_cast<std::uint32_t>(words_.size());
    words_.push_back({symbols_.size(), static_cast<std::uint32_t>(piece.size()), counts.count(i)});
    for (const char c : piece) symbols_.push_back(of_byte[static_cast<unsigned char>(c)]);
    const TokenId* s = symbols_.data() + words_.back().begin;
    for (std::size_t k = 0; k + 1 < piece.size(); ++k) {
      raise(s[k], s[k + 1], word, counts.count(i));
    }
  }
  for (std::uint32_t i = 0; i < pairs_.size(); ++i) {
    heap_.push({pairs_[i].count, pairs_[i].key, i});
  }
  raised_.clear();
}

void Merger::raise(TokenId left, TokenId right, std::uint32_t word, std::int64_t by) {
  const std::uint32_t index = pairs_.find(pair_key(left, right));
  PairTable::Pair& pair = pairs_[index];
  pair.count += by;
  if (pair.words.empty() || pair.words.back() != word) pair.words.push_back(word);
  if (pair.stamp != step_) {
    pair.stamp = step_;
    raised_.push_back(index);
  }
}

TokenId Merger::product_of(TokenId left, TokenId right) {
  std::string bytes = result_.tokens[static_cast<std::size_t>(left)] +
                      result_.tokens[static_cast<std::size_t>(right)];
  const auto next = static_cast<TokenId>(result_.tokens.size());
  const auto [found, is_new] = ids_.emplace(bytes, next);
  if (is_new) result_.tokens.push_back(std::move(bytes));
  return found->second;
}

void Merger::merge_in(std::uint32_t word_index, TokenId left, TokenId right, TokenId product) {
  Word& word = words_[word_index];
  TokenId* s = symbols_.data() + word.begin;
  std::uint32_t kept = 0;
  for (std::uint32_t i = 0; i < word.length; ++kept) {
    const bool match = i + 1 < word.length && s[i] == left && s[i + 1] == right;
    if (!match) {
      s[kept] = s[i++];
      continue;
    }
    // What stands before is already merged, what follows is not yet: the next match corrects.
    if (kept > 0) {
      lower(s[kept - 1], left, word.count);
      raise(s[kept - 1], product, word_index, word.count);
    }
    if (i + 2 < word.length) {
      lower(right, s[i + 2], word.count);
      raise(product, s[i + 2], word_index, word.count);
    }
    s[kept] = product;
    i += 2;
  }
  word.length = kept;
}

void Merger::merge_everywhere(TokenId left, TokenId right, TokenId product, std::uint32_t pair) {
  ++step_;
  const std::vector<std::uint32_t> words = std::move(pairs_[pair].words);
  pairs_[pair].words = {};
  for (const std::uint32_t word : words) merge_in(word, left, right, product);
  pairs_[pair].count = 0;  // no occurrence is left
  for (const std::uint32_t index : raised_) {
    const PairTable::Pair& raised = pairs_[index];
    if (raised.count > 0) heap_.push({raised.count, raised.key, index});
  }
  raised_.clear();
}

TrainedBpe Merger::run(const BpeTrainer::Progress& progress) {
  const std::int64_t wished = options_.vocab_size - 256;
  while (static_cast<std::int64_t>(result_.tokens.size()) < options_.vocab_size && !heap_.empty()) {
    const Candidate top = heap_.top();
    heap_.pop();
    const std::int64_t count = pairs_[top.pair].count;
    if (count != top.count) {  // it has fallen since
      if (count > 0 && count < top.count) heap_.push({count, top.key, top.pair});
      continue;
    }
    if (count < std::max<std::int64_t>(options_.min_frequency, 1)) break;
    const auto left = static_cast<TokenId>(top.key >> 32);
    const auto right = static_cast<TokenId>(top.key & 0xFFFFFFFFu);
    const TokenId product = product_of(left, right);
    if (product == kNoToken) continue;
    result_.merges.push_back({left, right});
    merge_everywhere(left, right, product, top.pair);
    if (progress && result_.merges.size() % 64 == 0) {
      progress(static_cast<std::int64_t>(result_.tokens.size()) - 256, wished);
    }
  }
  return std::move(result_);
}

}  // namespace

std::string_view training_pattern(DigitPieces digits) {
  return digits == DigitPieces::single ? patterns::kQwen2Hf : patterns::kLlamaBpeHf;
}

BpeTrainer::BpeTrainer(BpeTrainOptions options) : options_(std::move(options)) {
  if (options_.vocab_size < 256) {
    fail(ErrorKind::usage, "a byte-level vocabulary has at least 256 tokens, {} were asked for",
         options_.vocab_size);
  }
  pre_tokenizer_.add(make_regex_step(std::string(training_pattern(options_.digits)),
                                     SplitBehavior::isolated, SplitInvert::no));
}

void BpeTrainer::add(std::span<const std::string> texts, ThreadPool& pool) {
  std::deque<std::string> mended;  // keeps its strings where they are
  std::vector<std::string_view> chunks;
  for (std::string_view text : texts) {
    bytes_ += static_cast<std::int64_t>(text.size());
    if (valid_utf8_prefix(text) != text.size())
      text = mended.emplace_back(replace_invalid_utf8(text));
    std::size_t begin = 0;
    for (const std::size_t end : chunk_ends(text)) {
      chunks.push_back(text.substr(begin, end - begin));
      begin = end;
    }
  }
  std::vector<PieceCounts> counts(static_cast<std::size_t>(pool.threads()));
  pool.parallel_for(static_cast<std::int64_t>(chunks.size()), 1,
                    [&](std::int64_t begin, std::int64_t end, int thread) {
                      CountingSink sink(counts[static_cast<std::size_t>(thread)]);
                      for (std::int64_t i = begin; i < end; ++i) {
                        pre_tokenizer_.split(chunks[static_cast<std::size_t>(i)], sink);
                      }
                    });
  for (const PieceCounts& part : counts) counts_.merge(part);
}

TrainedBpe BpeTrainer::train(const Progress& progress) const {
  return Merger(counts_, options_).run(progress);
}

}  // namespace nautile
