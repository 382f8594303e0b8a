// recipe.h — Recipe: what a training run is to do, from a TOML file, with a source for every
// default.
#pragma once

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "model/adapter.h"
#include "model/config.h"
#include "train/dataset.h"
#include "train/recipe_values.h"
#include "train/trainer.h"

namespace nautile::train {

// Whether a value that depends on the tokenizer was asked for, or is only the default.
enum class Wish : std::uint8_t { never, if_there, always };

struct DataRecipe {
  std::string folder;      // of `nautile data build`; empty: none is named (a plan alone)
  DatasetOptions options;  // without the tokens that only the tokenizer knows
  Wish bos = Wish::if_there, eos = Wish::if_there, fim = Wish::if_there;
  double fim_rate = 0;
};

struct SampleRecipe {
  std::int64_t every = 0, tokens = 0;  // steps between them, 0: none; at most so many tokens each
  double temperature = 0;
  std::vector<std::string> prompts;
};

// What a run would cost on rented machines.
struct CostRecipe {
  double devices = 1, dollars_per_hour = 0;
  double peak_flops = 0;                        // of one device; 0: this machine's, as measured
  double mfu = 0;                               // the share of it that is reached
  double device_hours_per_trillion_tokens = 0;  // measured elsewhere; 0: from peak_flops and mfu
};

enum class OnSpike : std::uint8_t { stop, skip };

struct Recipe {
  std::string path;  // names it in messages

  nlohmann::ordered_json hf_config;  // the model's config.json
  ModelConfig model;
  std::string from;     // a checkpoint to begin with; empty: random weights
  LoraConfig lora;      // rank > 0: an adapter is trained, beside the frozen weights of `from`
  double init_std = 0;  // of random weights
  std::uint64_t model_seed = 0;

  DataRecipe data;
  TrainerConfig trainer;
  double tokens = 0;                      // the run's length; the schedule is drawn over it
  std::int64_t steps = 0;                 // ends the run, too, if it is not 0
  std::int64_t slot_rows = 1, slots = 1;  // of a step, when the batch is at its largest
  int threads = 0;                        // 0: the cores at hand
  int data_ranks = 0;                     // processes; 0: as many as are started
  double timeout = 0;                     // seconds that a process waits for another
  double max_minutes = 0;                 // 0: no limit
  OnSpike on_spike = OnSpike::stop;
  double spike_factor = 0;  // a loss so many times its running mean is a spike; 0: none is
  int max_skips = 0;

  std::int64_t checkpoint_every = 0, eval_every = 0, log_every = 1, loads_every = 0;  // steps
  int keep_last = 3;
  std::int64_t milestone_every = 0;
  std::int64_t eval_tokens = 0;  // of each source
  // Special tokens stand for no bytes: they bear no loss in held-out text, unless they are what is
  // to be learnt (an answer's end).
  enum class HeldOutLoss : std::uint8_t { text, all } held_out_loss = HeldOutLoss::text;
  enum class KeepBest : std::uint8_t { no, yes } keep_best = KeepBest::no;  // checkpoint
  std::int64_t patience = 0;  // so many evaluations without a better one end the run; 0: none do
  SampleRecipe samples;
  enum class EventFiles : std::uint8_t { no, yes } event_files = EventFiles::yes;
  CostRecipe cost;

  std::vector<EffectiveValue> effective;
  std::vector<std::string> notices;  // losses that are off, and the like

  double slot_tokens() const {
    return static_cast<double>(slot_rows) * static_cast<double>(data.options.seq_len);
  }
  // Micro-batch slots of the step that begins after so many tokens.
  std::int64_t slots_at(double tokens_seen) const;
  // Processes that a plan is of, where none or `started` are running.
  int planned_ranks(int started) const {
    return data_ranks > 0 ? data_ranks : std::max(started, trainer.expert_ranks);
  }
};

// What another kind of run than pre-training brings to a recipe.
struct RecipeKind {
  std::vector<RecipeDefault> defaults = {};      // over those of pre-training
  std::function<void(RecipeValues&)> keys = {};  // reads tables of its own; may be empty
  std::optional<ModelConfig> model = {};         // counts instead of [model]
  std::string resumed_config;                    // config.json of a checkpoint that is gone on from
  Recipe::HeldOutLoss held_out_loss = Recipe::HeldOutLoss::text;
};

// Reads the recipe and the model's config that it names; opens no data. `path` names the text in
// errors and is what relative paths are resolved against; `sets` are "table.key=value". Throws
// Error(bad_input) naming line and key, with what an unknown key may have meant.
Recipe parse_recipe(std::string_view toml, const std::string& path,
                    const std::vector<std::string>& sets = {}, const RecipeKind& kind = {});

// Keys of two recipes whose values differ: "optimizer.clip: 1.0, was 2.0".
struct RecipeDifference {
  std::string key, text;
};
std::vector<RecipeDifference> differences(const Recipe& now, const Recipe& before);

}  // namespace nautile::train
