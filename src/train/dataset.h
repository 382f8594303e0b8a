// dataset.h — Dataset: endless micro-batches from a data folder; a slot depends on its index alone.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "train/data_folder.h"
#include "train/mixture.h"
#include "train/packer.h"
#include "train/token_batch.h"

namespace nautile::train {

// Whether tokens may attend to other documents of their row.
enum class Attend : std::uint8_t {
  document,  // no: `starts` falls on documents (V3's SFT)
  row,       // yes: `starts` falls on rows (V3's pre-training)
};

// Fill-in-the-middle, prefix-suffix-middle (DeepSeek-V3 report, 2.2): BEGIN prefix HOLE suffix END
// middle. Cuts fall between tokens.
struct Fim {
  double rate = 0.1;  // of the text documents that fit into a row
  std::int32_t begin = 0, hole = 0, end = 0;
};

struct DatasetOptions {
  std::uint64_t seed = 0;
  std::int64_t seq_len = 4096;  // tokens of a row, at most
  std::int64_t slot_rows = 1;   // rows of a slot
  Packing packing = Packing::whole;
  Attend attend = Attend::document;
  // Put around text documents; chats have their own.
  std::optional<std::int32_t> bos, eos;
  std::optional<Fim> fim;
  // By name of source, instead of the folder's; 0 leaves a source out.
  std::map<std::string, double> weights;
};

// How far the slots before some index have gone through a source.
struct SourceUse {
  std::string name;
  double weight = 0;        // share of the tokens, of 1
  std::uint64_t units = 0;  // documents, or pieces of them that fit a row
  std::uint64_t drawn = 0;  // units drawn so far
  double epochs() const {
    return units ? static_cast<double>(drawn) / static_cast<double>(units) : 0;
  }
};

// What is drawn is a unit: a document, or a stretch of seq_len tokens of a longer one (a longer
// chat is cut at seq_len). In each epoch of a source every unit comes once, in an order that a
// keyed permutation of (seed, source, epoch) gives; sources take turns by their weights. Const use
// from many threads is safe.
class Dataset {
 public:
  // The folder must outlive this. Throws Error(bad_input) for a source without documents, options
  // that contradict the vocabulary, or weights of sources that there are not.
  Dataset(const DataFolder& folder, DatasetOptions options);
  ~Dataset();
  Dataset(Dataset&&) noexcept;

  // Slot `index` of the run: (slots of the steps before) + (slot of the step). Throws
  // Error(bad_input) for a damaged shard.
  TokenBatch slot(std::int64_t index) const;
  // The state of all sources before slot `index`.
  std::vector<SourceUse> use_before(std::int64_t index) const;
  // Chats longer than a row, of which the end is not seen.
  std::uint64_t cut_chats() const;
  const DatasetOptions& options() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Once through (part of) the held-out documents of a source, by name, in a shuffled order that does
// not depend on the options' seed; at most about max_tokens (0: all). No FIM. Empty if there are
// none.
std::vector<TokenBatch> held_out_batches(const DataFolder& folder, const std::string& source,
                                         DatasetOptions options, std::int64_t max_tokens);

}  // namespace nautile::train
