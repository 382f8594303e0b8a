// tuning_data.h — a user's lines as a data folder: tokens, and which of them are to be learnt.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "align/samples.h"
#include "base/parallel.h"

namespace nautile::align {

// What becomes of a sample of more tokens than a row may have.
enum class TooLong : std::uint8_t {
  skip,  // it is left out
  cut,   // its beginning stays; it is left out if nothing of the assistant is in that
};

// What happens to a line that cannot be used.
enum class BadLine : std::uint8_t { stop, skip };

struct TuningDataOptions {
  std::vector<std::string> files;  // JSON lines; packed by zstd too
  std::vector<std::string> eval;   // likewise, only to evaluate on; empty: `held_out` of `files`
  double held_out = 0;             // share of the lines, chosen by a hash of each
  std::int64_t most_tokens = 0;    // of a group
  TooLong too_long = TooLong::skip;
  BadLine bad = BadLine::stop;
};

// Of groups, but where tokens are counted.
struct TuningDataReport {
  std::uint64_t lines = 0;                                               // that could be used
  std::uint64_t train = 0, held_out = 0, tokens = 0, learnt_tokens = 0;  // tokens: of `train`
  std::uint64_t too_long = 0, cut = 0, malformed = 0;
  std::int64_t longest = 0;  // tokens of the longest that stays

  static TuningDataReport of_index(const nlohmann::ordered_json& index);
  nlohmann::ordered_json json() const;
};

// Called now and then; may throw to stop.
using TuningProgress = std::function<void(std::int64_t done, std::int64_t all)>;

// Writes the folder `out` (train/data_folder.h) with one source, "chats"; the samples of a group
// are documents one after the other. What it holds depends on files and options alone. Throws
// Error(bad_input) naming file, line and field of what is wrong (the first five, and how many), or
// when nothing is left to learn from.
TuningDataReport build_tuning_data(const TuningDataOptions& options, const EncodeLine& encode,
                                   const Tokenizer& tokenizer, const std::string& out,
                                   ThreadPool& pool, const TuningProgress& progress);

}  // namespace nautile::align
