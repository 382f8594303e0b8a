// bpe_trainer.h — BpeTrainer: learns the merges of a byte-level BPE from text.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/parallel.h"
#include "text/bpe_vocab.h"
#include "text/piece_counts.h"
#include "text/pre_tokenizer.h"

namespace nautile {

// How many digits one piece, and so one token, may have.
enum class DigitPieces { single, up_to_three };

// The published split pattern of GPT-4's kind: Qwen's with single digits, Llama 3's with up to
// three (see split_known.h).
std::string_view training_pattern(DigitPieces digits);

struct BpeTrainOptions {
  std::int32_t vocab_size = 0;     // tokens of the model: 256 bytes and the merges; at least 256
  std::int64_t min_frequency = 2;  // a pair met less often is never merged
  DigitPieces digits = DigitPieces::single;
  // Texts that no merge may spell (the tokenizer's added tokens).
  std::vector<std::string> reserved;
};

struct TrainedBpe {
  struct Merge {
    TokenId left, right;
  };
  std::vector<std::string> tokens;  // bytes by id; 0–255 single bytes, in the alphabet's order
  std::vector<Merge> merges;        // by rank
};

// Counts the pieces of texts, then merges. The result depends on the texts alone, not on how they
// were handed over or on threads.
class BpeTrainer {
 public:
  // Throws Error(usage) for a vocabulary of less than 256 tokens.
  explicit BpeTrainer(BpeTrainOptions options);

  // Adds texts, each of its own: no piece crosses from one to the next. Ill-formed UTF-8 counts as
  // U+FFFD, as in Tokenizer::encode. A piece longer than kLongestPiece is cut, so that text without
  // spaces cannot make training slow.
  void add(std::span<const std::string> texts, ThreadPool& pool);
  static constexpr std::size_t kLongestPiece = 1024;  // bytes

  std::int64_t bytes() const { return bytes_; }  // of all texts
  std::size_t distinct_pieces() const { return counts_.size(); }

  // Called now and then with (merges made, merges wished).
  using Progress = std::function<void(std::int64_t done, std::int64_t all)>;
  // The most frequent pair first; of equally frequent ones that of smaller ids (left, then right).
  // Inside a piece from the left, without overlap. A pair that spells a token that there is
  // becomes that token. Ends early when no pair is as frequent as min_frequency.
  // Time about O(occurrences of merged pairs · log); equal to the `tokenizers` library's
  // BpeTrainer but where two pairs spell one token (that library then counts stale numbers).
  TrainedBpe train(const Progress& progress = {}) const;

 private:
  BpeTrainOptions options_;
  PreTokenizer pre_tokenizer_;
  PieceCounts counts_;
  std::int64_t bytes_ = 0;
};

}  // namespace nautile
