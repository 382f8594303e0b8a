// run_data.h — RunData: what a run reads: its data folder, the tokenizer of it, slots and held-out
// text.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "text/tokenizer.h"
#include "train/data_folder.h"
#include "train/dataset.h"
#include "train/recipe.h"

namespace nautile::train {

// Held-out text of a source. Special tokens, which stand for no bytes, bear a loss in it only if
// the recipe says so.
struct HeldOut {
  std::string name;
  std::vector<TokenBatch> batches;
  double tokens = 0, bytes = 0;  // that are to be foretold
};

struct HeldOutScore {
  std::string name;
  double nats = 0, tokens = 0, bytes = 0;
  std::map<std::string, double> more;  // means of what another objective measures
  double nats_per_token() const { return tokens > 0 ? nats / tokens : 0; }
  double bits_per_byte() const;
};
// The last entry, "all", sums the others; empty without held-out text.
std::vector<HeldOutScore> evaluate(Trainer& trainer, const std::vector<HeldOut>& sets);

// Documents of a slot, as text for a person to read.
struct DocumentText {
  std::int64_t tokens = 0;
  std::string text;  // its beginning
};

// What another kind of run reads instead of a Dataset's text. All of it outlives the run.
struct RunSource {
  const Tokenizer* tokenizer = nullptr;               // null: the data folder's own
  std::function<TokenBatch(std::int64_t slot)> slot;  // empty: the Dataset's
  const std::vector<HeldOut>* held_out = nullptr;     // with `slot`; null: none
};

class RunData {
 public:
  // Opens the folder that the recipe names. Throws Error where it cannot be read or does not fit
  // the model: too large a vocabulary, tokens that are asked for and not there.
  explicit RunData(const Recipe& recipe, RunSource source = {});

  const Tokenizer& tokenizer() const { return tokenizer_; }
  const DataFolder& folder() const { return folder_; }
  TokenBatch slot(std::int64_t index) const {
    return source_.slot ? source_.slot(index) : dataset_->slot(index);
  }
  const std::vector<HeldOut>& held_out() const {
    return source_.held_out ? *source_.held_out : held_out_;
  }
  // What the tokenizer has not: "no fill-in-the-middle: …".
  const std::vector<std::string>& notices() const { return notices_; }

  std::vector<DocumentText> documents(const TokenBatch& batch) const;

 private:
  std::optional<TokenId> token(Wish wish, std::optional<TokenId> id, const char* key);
  void set_fim(const Recipe& recipe, DatasetOptions& options);
  void read_held_out(const Recipe& recipe, const DatasetOptions& options);

  RunSource source_;
  DataFolder folder_;
  std::optional<Tokenizer> own_;
  const Tokenizer& tokenizer_;
  std::vector<std::string> notices_;
  std::unique_ptr<const Dataset> dataset_;
  std::vector<HeldOut> held_out_;
};

// Mean length of the spans that attend to one another, for plans: rows, or documents as the data
// folder counts them.
double mean_span(const Recipe& recipe);

}  // namespace nautile::train
