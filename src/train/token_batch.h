// token_batch.h — TokenBatch: one micro-batch of packed rows, ready for the model's Batch.
#pragma once

#include <cstdint>
#include <vector>

namespace nautile::train {

inline constexpr std::int32_t kNoTarget = -1;

// T tokens in B packed rows. Nothing is padded: rows may be shorter than the sequence length.
struct TokenBatch {
  std::vector<std::int32_t> tokens;     // [T]
  std::vector<std::int32_t> positions;  // [T] from 0 at each bound of `starts`
  std::vector<std::int32_t> starts;     // [S+1] spans that may attend to one another, 0 … T
  std::vector<std::int32_t> rows;       // [B+1] packed rows: the unit of the balance loss
  std::vector<std::int32_t> documents;  // [D+1] bounds of documents' pieces, 0 … T
  // Targets never cross a bound of `starts`; kNoTarget where there is none.
  std::vector<std::int32_t> targets;   // [T] the next token
  std::vector<std::int32_t> targets2;  // [T] the token after that, for multi-token prediction
  // Weight of the loss at each place: that of the token to be foretold; 0 where there is none.
  std::vector<float> loss_weight;   // [T] of `targets`
  std::vector<float> loss_weight2;  // [T] of `targets2`

  // Of a preference run alone: documents are answers, the chosen one of a pair and then the other.
  std::vector<float> reference;  // [D] log-probability of each by the model that tuning began with

  std::int64_t size() const { return static_cast<std::int64_t>(tokens.size()); }
};

}  // namespace nautile::train
