// tuning.h — Tuning: what fine-tuning adds to a training recipe: the [tune] table, and defaults
// that follow from the data.
#pragma once

#include <string>
#include <vector>

#include "align/base_model.h"
#include "align/preference.h"
#include "align/tuning_data.h"
#include "train/recipe.h"

namespace nautile::align {

enum class Method : std::uint8_t {
  sft,  // supervised: on conversations
  dpo,  // on preferences between answers
};

// The [tune] table, and [dpo]. Paths are absolute.
struct Tuning {
  Method method = Method::sft;
  PreferenceConfig preference;
  std::string model;  // as open_base takes it
  std::vector<std::string> data, eval;
  double held_out = 0, epochs = 0;
  TooLong too_long = TooLong::skip;
  BadLine bad = BadLine::stop;
  std::string chat_format;   // of nautile's own; empty: the model's template
  std::int64_t seq_len = 0;  // data.seq_len if it was given; 0: as the data ask for
  bool by_steps = false;     // train.steps was given: it counts instead of epochs
  bool lora = false;         // an adapter is trained (lora.rank)
};

// Reads the table alone; other keys are not looked at. Throws Error(bad_input) as RecipeValues
// does.
Tuning parse_tuning(Method method, std::string_view toml, const std::string& path,
                    const std::vector<std::string>& sets);

// What the defaults follow from.
struct TuningFacts {
  TuningDataReport data;
  std::string data_folder;
  BaseModel model;
};

// The kind of recipe that fine-tunes: for train::parse_recipe and TrainingRun.
train::RecipeKind tuning_kind(const Tuning& tuning, const TuningFacts& facts);

// A conversation may have so many tokens: what the user says, else 4,096 or the model's context.
std::int64_t most_tokens(const Tuning& tuning, std::int64_t context);

}  // namespace nautile::align
