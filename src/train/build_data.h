// build_data.h — build_data: from documents to a data folder: deduplicated, decontaminated, in
// shards.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/parallel.h"
#include "text/chat_format.h"
#include "text/tokenizer.h"
#include "train/data_spec.h"

namespace nautile::train {

// A tokenizer with its files, which the data folder keeps a copy of.
struct DataTokenizer {
  const Tokenizer& tokenizer;
  const ChatFormat* chat_format = nullptr;  // needed by chats
  // Name and content of each file, "tokenizer.json" first; its hash goes into the shards.
  std::vector<std::pair<std::string, std::string>> files;
};

enum class Overwrite : std::uint8_t { no, yes };

struct BuildCallbacks {
  // Called now and then; may throw to stop.
  std::function<void(const std::string& source, std::int64_t done, std::int64_t all)> progress;
  // Called with what is worth saying: a skipped document, the first contaminated ones.
  std::function<void(const std::string& message)> notice;
};

// Writes shards and, when all is done, index.json into `out` (made if absent). What the folder
// holds depends on spec and inputs alone. Of equal documents the first counts, across all sources;
// which documents are held out follows from a hash of their text. Throws Error(usage) if `out`
// holds data and may not be overwritten, else as the inputs do. Returns index.json, with a report
// per source.
nlohmann::ordered_json build_data(const DataSpec& spec, const DataTokenizer& tokenizer,
                                  const std::string& out, Overwrite overwrite, ThreadPool& pool,
                                  const BuildCallbacks& callbacks);

}  // namespace nautile::train
