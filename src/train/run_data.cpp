#include "train/run_data.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/file.h"
#include "text/tokenizer_writer.h"

namespace nautile::train {
namespace {

namespace fs = std::filesystem;

const std::string& named_folder(const Recipe& recipe) {
  if (recipe.data.folder.empty()) {
    throw make_error(ErrorKind::bad_input, "{} names no data", recipe.path)
        .hint(
            "folder = \"PATH\" in [data], or --set data.folder=PATH: what `nautile data build` "
            "made");
  }
  return recipe.data.folder;
}

Tokenizer open_tokenizer(const std::string& folder) {
  const fs::path json = fs::path(folder) / "tokenizer.json",
                 config = fs::path(folder) / "tokenizer_config.json";
  return Tokenizer::from_json(read_file(json.string()),
                              fs::exists(config) ? read_file(config.string()) : "");
}

// Bytes that each token stands for; special ones for none.
std::vector<int> bytes_of_tokens(const Tokenizer& tokenizer) {
  std::vector<int> bytes(static_cast<std::size_t>(tokenizer.vocab_size()));
  std::string text;
  for (std::size_t id = 0; id < bytes.size(); ++id) {
    text.clear();
    tokenizer.append_bytes(static_cast<TokenId>(id), SkipSpecial::yes, text);
    bytes[id] = static_cast<int>(text.size());
  }
  return bytes;
}

}  // namespace

double HeldOutScore::bits_per_byte() const {
  return bytes > 0 ? nats / std::log(2.0) / bytes : 0;
}

std::vector<HeldOutScore> evaluate(Trainer& trainer, const std::vector<HeldOut>& sets) {
  std::vector<HeldOutScore> scores;
  HeldOutScore all;
  all.name = "all";
  for (const HeldOut& set : sets) {
    const LossSums sums = trainer.evaluate(set.batches);
    scores.push_back({set.name, sums.main, set.tokens, set.bytes, {}});
    for (const auto& [name, value] : sums.more) {
      scores.back().more[name] = value / sums.weight;
      all.more[name] += value / sums.weight * set.tokens;
    }
    all.nats += sums.main;
    all.tokens += set.tokens;
    all.bytes += set.bytes;
  }
  for (auto& [name, value] : all.more) value /= all.tokens;
  if (!scores.empty()) scores.push_back(all);
  return scores;
}

RunData::RunData(const Recipe& recipe, RunSource source)
    : source_(std::move(source)),
      folder_(DataFolder::open(named_folder(recipe))),
      own_(source_.tokenizer ? std::nullopt : std::optional(open_tokenizer(folder_.path))),
      tokenizer_(source_.tokenizer ? *source_.tokenizer : *own_) {
  NAUTILE_CHECK(folder_.vocabulary.size <= static_cast<std::uint32_t>(recipe.model.vocabulary),
                "{}: the model has {} tokens (model.vocab_size), the data in {} has {}",
                recipe.path, recipe.model.vocabulary, folder_.path, folder_.vocabulary.size);
  if (own_) require_own_tokenizer(folder_);
  if (source_.slot) return;
  DatasetOptions options = recipe.data.options;
  options.slot_rows = recipe.slot_rows;
  options.bos = token(recipe.data.bos, tokenizer_.bos(), "data.bos");
  options.eos = token(recipe.data.eos, tokenizer_.eos(), "data.eos");
  set_fim(recipe, options);
  dataset_ = std::make_unique<const Dataset>(folder_, options);
  if (const std::uint64_t cut = dataset_->cut_chats()) {
    notices_.push_back(fmt::format("{} chats are longer than a row of {} tokens and lose their end",
                                   cut, options.seq_len));
  }
  read_held_out(recipe, options);
}

std::optional<TokenId> RunData::token(Wish wish, std::optional<TokenId> id, const char* key) {
  if (wish == Wish::never) return std::nullopt;
  NAUTILE_CHECK(id || wish == Wish::if_there,
                "{} is true, and the tokenizer in {} has no such token", key, folder_.path);
  if (!id) notices_.push_back(fmt::format("{}: the tokenizer has no such token", key));
  return id;
}

void RunData::set_fim(const Recipe& recipe, DatasetOptions& options) {
  if (recipe.data.fim == Wish::never) return;
  const std::vector<std::string>& texts = fim_token_texts();
  const auto begin = tokenizer_.id_of(texts[0]), hole = tokenizer_.id_of(texts[1]),
             end = tokenizer_.id_of(texts[2]);
  if (begin && hole && end) {
    options.fim = Fim{recipe.data.fim_rate, *begin, *hole, *end};
    return;
  }
  NAUTILE_CHECK(recipe.data.fim == Wish::if_there,
                "data.fim_rate is {}, and the tokenizer in {} has no fill-in-the-middle tokens",
                recipe.data.fim_rate, folder_.path);
  notices_.emplace_back(
      "data.fim_rate: the tokenizer has no fill-in-the-middle tokens; none is made");
}

void RunData::read_held_out(const Recipe& recipe, const DatasetOptions& options) {
  if (recipe.eval_every == 0) return;
  const std::vector<int> bytes = bytes_of_tokens(tokenizer_);
  for (const DataSource& source : folder_.sources) {
    HeldOut set{source.name, held_out_batches(folder_, source.name, options, recipe.eval_tokens)};
    for (TokenBatch& batch : set.batches) {
      for (std::size_t t = 0; t < batch.targets.size(); ++t) {
        const std::int32_t target = batch.targets[t];
        const int size = target >= 0 ? bytes[static_cast<std::size_t>(target)] : 0;
        if (size == 0 && recipe.held_out_loss == Recipe::HeldOutLoss::text)
          batch.loss_weight[t] = 0;
        if (batch.loss_weight[t] == 0) continue;
        batch.loss_weight[t] = 1;
        set.tokens += 1;
        set.bytes += size;
      }
    }
    if (set.bytes > 0) held_out_.push_back(std::move(set));
  }
  if (held_out_.empty())
    notices_.emplace_back("the data has no held-out documents: there is nothing to evaluate on");
}

std::vector<DocumentText> RunData::documents(const TokenBatch& batch) const {
  constexpr std::int32_t kShown = 200;  // tokens
  std::vector<DocumentText> list;
  for (std::size_t d = 0; d + 1 < batch.documents.size(); ++d) {
    const std::int32_t begin = batch.documents[d], end = batch.documents[d + 1];
    const auto shown = std::span(batch.tokens)
                           .subspan(static_cast<std::size_t>(begin),
                                    static_cast<std::size_t>(std::min(end - begin, kShown)));
    list.push_back({end - begin, tokenizer_.decode(shown, SkipSpecial::no)});
  }
  return list;
}

double mean_span(const Recipe& recipe) {
  const auto row = static_cast<double>(recipe.data.options.seq_len);
  if (recipe.data.options.attend == Attend::row || recipe.data.folder.empty() ||
      !fs::exists(fs::path(recipe.data.folder) / kDataIndex))
    return row;
  // Each source's mean, by its share of the tokens.
  double weights = 0, spans = 0;
  const DataFolder folder = DataFolder::open(recipe.data.folder);
  for (const DataSource& source : folder.sources) {
    const auto own = recipe.data.options.weights.find(source.name);
    const double weight = own == recipe.data.options.weights.end() ? source.weight : own->second;
    const auto documents = static_cast<double>(source.documents(DataSplit::train));
    if (documents == 0) continue;
    const double mean = static_cast<double>(source.tokens(DataSplit::train)) / documents;
    weights += weight;
    spans += weight * std::min(row, mean);
  }
  return weights > 0 ? spans / weights : row;
}

}  // namespace nautile::train
