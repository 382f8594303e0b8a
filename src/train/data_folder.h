// data_folder.h — DataFolder: what `nautile data build` leaves: shards by source, and index.json.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "train/shards.h"

namespace nautile::train {

enum class DataSplit : std::uint8_t { train, held_out };

struct DataSource {
  std::string name;
  double weight = 1;  // share of the tokens drawn
  std::vector<Shard> train, held_out;

  const std::vector<Shard>& shards(DataSplit split) const {
    return split == DataSplit::train ? train : held_out;
  }
  std::uint64_t tokens(DataSplit split) const;
  std::uint64_t documents(DataSplit split) const;
};

struct DataFolder {
  std::string path;
  Vocabulary vocabulary;
  std::vector<DataSource> sources;
  nlohmann::ordered_json index;  // all of index.json: also the report of each source

  // A hash of sources, weights and shards: equal where the same samples come in the same order.
  std::uint64_t identity() const;

  // Throws Error(bad_input) naming file and member; Error(failure) where files are missing. A file
  // of the folder is named without a path.
  static DataFolder open(const std::string& path);
};

// Throws Error(bad_input) unless the folder's tokenizer.json is the one that its shards were
// written with; of folders that `nautile data build` made.
void require_own_tokenizer(const DataFolder& folder);

// The hash that shards carry: of the tokenizer.json's bytes.
Vocabulary vocabulary_of(std::string_view tokenizer_json, std::int32_t size);

inline constexpr const char* kDataIndex = "index.json";
inline constexpr int kDataVersion = 1;

}  // namespace nautile::train
