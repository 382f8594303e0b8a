#include "align/tuning.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace nautile::align {
namespace {

using train::RecipeDefault;
using train::RecipeValues;
constexpr const char* kOurs = "nautile's choice";
constexpr std::int64_t kLongest = 4096;

Tuning read_table(Method method, RecipeValues& values) {
  Tuning t;
  t.method = method;
  t.model = values.path("tune.model", "none");
  t.data = values.paths("tune.data", "none");
  t.eval = values.paths("tune.eval", "none: held_out of the data");
  t.held_out = values.number("tune.held_out", 0.05,
                             "nautile's choice: of the conversations, by a hash of each", 0, 0.9);
  t.epochs =
      method == Method::sft
          ? values.number("tune.epochs", 2, "DeepSeek-V3 report §5.1: two epochs", 0.001, 1e6)
          : values.number("tune.epochs", 1, "Rafailov et al. 2023: one", 0.001, 1e6);
  t.too_long =
      values.choice("tune.too_long", TooLong::skip, "nautile's choice: half an answer is a bad one",
                    {{"skip", TooLong::skip}, {"cut", TooLong::cut}});
  t.bad = values.flag("tune.skip_bad", RecipeValues::Answer::no, kOurs) == RecipeValues::Answer::yes
              ? BadLine::skip
              : BadLine::stop;
  t.chat_format = values.text("tune.chat_format", "", "the model's own template");
  if (method == Method::sft) return t;
  if (t.too_long == TooLong::cut)
    values.wrong("tune.too_long", "is 'cut': a pair of answers is compared whole (expected skip)");
  t.preference.beta = values.number("dpo.beta", 0.1, "Rafailov et al. 2023", 1e-6, 1e3);
  t.preference.smoothing = values.number(
      "dpo.label_smoothing", 0, "Mitchell 2023: share of pairs the wrong way round", 0, 0.499);
  return t;
}

// Rows as short as the data allow: what attends to nothing costs nothing, but memory is for rows.
std::int64_t row_tokens(const TuningDataReport& data, std::int64_t most) {
  const auto longest = static_cast<std::uint64_t>(std::max<std::int64_t>(data.longest, 128));
  return std::min(static_cast<std::int64_t>(std::bit_ceil(longest)), most);
}

RecipeDefault peak_rate(const Tuning& tuning) {
  constexpr const char* kKey = "schedule.peak_rate";
  if (tuning.method == Method::dpo) {
    return tuning.lora ? RecipeDefault{kKey, 5e-5, "nautile's choice for adapters"}
                       : RecipeDefault{kKey, 1e-6, "Rafailov et al. 2023"};
  }
  return tuning.lora ? RecipeDefault{kKey, 2e-4, "of adapters: Dettmers et al. 2023"}
                     : RecipeDefault{kKey, 2e-5, "nautile's choice (report §5.1: 5e-6 for 671 B)"};
}

RecipeDefault mtp_lambda(const Tuning& tuning) {
  constexpr const char* kKey = "schedule.mtp_lambda";
  if (tuning.method == Method::dpo) return {kKey, 0, "a preference is of whole answers"};
  if (tuning.lora) return {kKey, 0, "an adapter leaves the module as it is"};
  return {kKey, 0.1, "DeepSeek-V3 report §4.2, as at the end of pre-training"};
}

}  // namespace

Tuning parse_tuning(Method method, std::string_view toml, const std::string& path,
                    const std::vector<std::string>& sets) {
  RecipeValues values(toml, path, sets);
  Tuning tuning = read_table(method, values);
  if (values.given("data.seq_len"))
    tuning.seq_len = values.integer("data.seq_len", 0, "", 2, 1 << 24);
  tuning.by_steps = values.given("train.steps");
  tuning.lora = values.integer("lora.rank", 0, "", 0, 4096) > 0;
  return tuning;
}

std::int64_t most_tokens(const Tuning& tuning, std::int64_t context) {
  return std::min(context, tuning.seq_len > 0 ? tuning.seq_len : kLongest);
}

train::RecipeKind tuning_kind(const Tuning& tuning, const TuningFacts& facts) {
  NAUTILE_CHECK(tuning.seq_len <= facts.model.config.context,
                "data.seq_len (--seq-len) is {}, and {} has {} positions", tuning.seq_len,
                tuning.model, facts.model.config.context);
  const std::int64_t row = row_tokens(facts.data, most_tokens(tuning, facts.model.config.context));
  const auto epoch = static_cast<double>(facts.data.tokens);
  const double tokens = std::ceil(tuning.epochs * epoch);
  // Some twenty steps an epoch, in whole rows.
  const double batch = std::clamp(std::round(epoch / 20 / static_cast<double>(row)), 1.0,
                                  std::max(1.0, std::floor(16384.0 / static_cast<double>(row)))) *
                       static_cast<double>(row);
  const auto steps = std::max<std::int64_t>(1, std::llround(epoch / batch));  // of an epoch
  train::RecipeKind kind;
  kind.held_out_loss = train::Recipe::HeldOutLoss::all;
  kind.keys = [method = tuning.method](RecipeValues& values) {
    read_table(method, values);
    const auto lambda = values.raw("schedule.mtp_lambda");
    if (method == Method::dpo && !lambda.is_null() && lambda != 0)
      values.wrong("schedule.mtp_lambda",
                   "is " + lambda.dump() + ": a preference has no MTP loss (expected 0)");
  };
  kind.defaults = {
      {"model.from", tuning.model, "tune.model"},
      {"model.init_std", facts.model.init_std, "config.json of tune.model"},
      {"data.folder", facts.data_folder, "made from tune.data"},
      {"data.seq_len", row, "the longest conversation, to a power of two"},
      {"data.packing", "whole", "DeepSeek-V3 report §5.1: sequences are packed from samples"},
      {"data.attend", "document", "DeepSeek-V3 report §5.1: samples do not see one another"},
      {"data.fim_rate", 0, "a chat is no text to fill in"},
      {"train.batch_tokens", batch, "nautile's choice: 20 steps an epoch, at most 16,384"},
      {"train.spike_factor", 0, "nautile's choice: small batches leap; only NaN stops"},
      {"optimizer.decay", 0, "nautile's choice: nothing pulls away from the model tuned"},
      {"schedule.kind", "cosine", "DeepSeek-V3 report §5.1"},
      peak_rate(tuning),
      mtp_lambda(tuning),
      {"schedule.bias_gamma", 0, "nautile's choice: router biases stay as they are"},
      {"schedule.balance_alpha", 0, "nautile's choice: balance was learnt before"},
      {"eval.every", std::max<std::int64_t>(1, steps / 2), "nautile's choice: twice an epoch"},
      {"checkpoint.every", steps, "nautile's choice: once an epoch"},
      {"checkpoint.keep_last", 1, "nautile's choice: the last, and the best"},
      {"checkpoint.keep_best", true, "nautile's choice: it is what is written at the end"}};
  if (tuning.lora) kind.model = facts.model.config;
  if (!tuning.by_steps) {
    kind.defaults.push_back(
        {"train.tokens", tokens,
         fmt::format("tune.epochs: {:g} times {:.0f} tokens", tuning.epochs, epoch)});
  }
  if (facts.model.mtp == BaseModel::Mtp::lost)
    kind.defaults.push_back({"model.num_nextn_predict_layers", 0, "the weights have none"});
  return kind;
}

}  // namespace nautile::align
