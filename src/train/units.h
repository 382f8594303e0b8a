// units.h — Units: the documents of a source, cut to what fits a row.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "train/data_folder.h"
#include "train/dataset.h"

namespace nautile::train {

// A unit's tokens and the weight of the loss at each.
struct UnitTokens {
  std::vector<std::int32_t> tokens;
  std::vector<float> weights;
};

// Where FIM cuts a document: [0, first) prefix, [first, second) middle, [second, end) suffix.
struct FimCut {
  std::uint64_t first = 0, second = 0;
};

class Units {
 public:
  // The shards must outlive this.
  Units(const std::vector<Shard>& shards, const DatasetOptions& options);

  std::uint64_t count() const { return first_unit_.back(); }
  std::uint64_t tokens() const { return tokens_; }  // of all units
  std::uint64_t cut_chats() const { return cut_chats_; }

  // Tokens of a unit, in 1 … seq_len, without FIM's own.
  std::int64_t length(std::uint64_t unit) const;
  // Whether FIM may be applied: a whole text document with room for three tokens more.
  bool takes_fim(std::uint64_t unit) const;
  // Tokens of a unit's document, to choose cuts in.
  std::uint64_t document_length(std::uint64_t unit) const;
  UnitTokens read(std::uint64_t unit, const std::optional<FimCut>& cut) const;

 private:
  struct Place {
    const Shard* shard;
    std::uint64_t document;
    std::int64_t piece, pieces;
    std::int64_t total;  // tokens of the document with BOS and EOS
  };
  Place place(std::uint64_t unit) const;
  std::int64_t total_of(const Shard& shard, std::uint64_t document) const;

  const std::vector<Shard>& shards_;
  const DatasetOptions& options_;
  std::vector<std::uint64_t> first_document_;  // [shards + 1]
  std::vector<std::uint64_t> first_unit_;      // [documents + 1]
  std::uint64_t tokens_ = 0, cut_chats_ = 0;
};

}  // namespace nautile::train
