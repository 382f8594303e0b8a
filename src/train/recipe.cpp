#include "train/recipe.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "model/model_facts.h"
#include "train/recipe_model.h"
#include "train/recipe_schedule.h"

namespace nautile::train {
namespace {

using Answer = RecipeValues::Answer;
constexpr std::int64_t kMany = std::int64_t{1} << 50;
constexpr const char* kOurs = "nautile's choice";

Wish wish(RecipeValues& values, const std::string& key, const std::string& source) {
  const bool given = values.given(key);
  const Answer answer = values.flag(key, Answer::yes, source);
  if (answer == Answer::no) return Wish::never;
  return given ? Wish::always : Wish::if_there;
}

void read_weights(RecipeValues& values, DataRecipe& data) {
  const nlohmann::ordered_json weights = values.raw("data.weights");
  if (weights.is_null()) return;
  if (!weights.is_object()) values.wrong("data.weights", "is no table of sources and numbers");
  for (const auto& [name, value] : weights.items()) {
    if (!value.is_number() || value.get<double>() < 0)
      values.wrong("data.weights", fmt::format("gives source '{}' no weight >= 0", name));
    data.options.weights[name] = value.get<double>();
  }
  values.note("data.weights", weights, "the data folder");
}

void read_data(RecipeValues& values, DataRecipe& data) {
  data.folder = values.path("data.folder", "none");
  data.options.seq_len =
      values.integer("data.seq_len", 4096, "DeepSeek-V3 report §4.2", 2, 1 << 24);
  data.options.packing = values.choice("data.packing", Packing::stream,
                                       "DeepSeek-V3 report §4.1: documents are packed",
                                       {{"stream", Packing::stream}, {"whole", Packing::whole}});
  data.options.attend = values.choice("data.attend", Attend::row,
                                      "DeepSeek-V3 report §4.1: no masking between documents",
                                      {{"row", Attend::row}, {"document", Attend::document}});
  const bool given = values.given("data.fim_rate");
  data.fim_rate = values.number("data.fim_rate", 0.1,
                                "DeepSeek-V3 report §4.1, if the tokenizer has the tokens", 0, 1);
  data.fim = data.fim_rate == 0 ? Wish::never : given ? Wish::always : Wish::if_there;
  data.bos = wish(values, "data.bos", "not published: if the tokenizer has one");
  data.eos = wish(values, "data.eos", "DeepSeek-V3 report §4.1, if the tokenizer has one");
  read_weights(values, data);
}

// Rows and slots of a step from whatever of batch_tokens, slots and slot_rows was given.
void read_batch(RecipeValues& values, Recipe& recipe) {
  constexpr std::int64_t kSlotTokens = 8192;
  const double seq = static_cast<double>(recipe.data.options.seq_len);
  const double batch =
      values.number("train.batch_tokens", std::max(32768.0, seq),
                    "nautile's choice for small models (report §4.2: 62.9 M)", 2, 1e12);
  const auto rows = std::max<std::int64_t>(1, std::llround(batch / seq));
  if (values.given("train.slots") && values.given("train.slot_rows")) {
    recipe.slots = values.integer("train.slots", 1, kOurs, 1, 1 << 24);
    recipe.slot_rows = values.integer("train.slot_rows", 1, kOurs, 1, 1 << 24);
    if (recipe.slots * recipe.slot_rows != rows && values.given("train.batch_tokens")) {
      values.wrong("train.slots", fmt::format("({}) times train.slot_rows ({}) times data.seq_len "
                                              "({}) is not train.batch_tokens ({})",
                                              recipe.slots, recipe.slot_rows, seq, batch));
    }
  } else if (values.given("train.slots")) {
    recipe.slots = values.integer("train.slots", 1, kOurs, 1, 1 << 24);
    recipe.slot_rows = values.integer(
        "train.slot_rows", std::max<std::int64_t>(1, (rows + recipe.slots - 1) / recipe.slots),
        "train.batch_tokens over slots and seq_len", 1, 1 << 24);
  } else {
    const auto fitting = std::max<std::int64_t>(1, kSlotTokens / recipe.data.options.seq_len);
    recipe.slot_rows = values.integer("train.slot_rows", std::min(rows, fitting),
                                      "nautile's choice: about 8,192 tokens a slot", 1, 1 << 24);
    recipe.slots = values.integer(
        "train.slots", std::max<std::int64_t>(1, (rows + recipe.slot_rows - 1) / recipe.slot_rows),
        "train.batch_tokens over slot_rows and seq_len", 1, 1 << 24);
  }
  NAUTILE_CHECK(recipe.slot_tokens() <= 1 << 30, "{}: slots of {} tokens", recipe.path,
                recipe.slot_tokens());
  const std::int64_t filled = recipe.slots * recipe.slot_rows;
  if (filled != rows && values.given("train.batch_tokens"))
    recipe.notices.push_back(fmt::format(
        "a step has {:.0f} tokens, not {:.0f} (train.batch_tokens): {} slots of {} rows "
        "of {}",
        static_cast<double>(filled) * seq, batch, recipe.slots, recipe.slot_rows, seq));
}

void read_length(RecipeValues& values, Recipe& recipe) {
  const double batch = recipe.slot_tokens() * static_cast<double>(recipe.slots);
  recipe.steps = values.integer("train.steps", 0, "0: train.tokens ends the run", 0, kMany);
  const double active = static_cast<double>(facts_of(recipe.model).active_parameters);
  const bool by_steps = recipe.steps > 0;
  recipe.tokens = values.number(
      "train.tokens", std::ceil(by_steps ? static_cast<double>(recipe.steps) * batch : 20 * active),
      by_steps ? "train.steps times the batch" : "20 per active parameter (Hoffmann et al. 2022)",
      1, 1e18);
}

void read_train(RecipeValues& values, Recipe& recipe) {
  recipe.trainer.precision =
      values.choice("train.precision", Precision::bf16, "nautile's choice (report §3.3: fp8)",
                    {{"f32", Precision::f32}, {"bf16", Precision::bf16}, {"fp8", Precision::fp8}});
  recipe.trainer.kv_format =
      recipe.trainer.precision == Precision::f32 ? Format::f32 : Format::bf16;
  read_batch(values, recipe);
  read_length(values, recipe);
  recipe.model_seed =
      static_cast<std::uint64_t>(values.integer("train.seed", 1, kOurs, 0, std::int64_t{1} << 53));
  recipe.data.options.seed = static_cast<std::uint64_t>(
      values.integer("data.seed", static_cast<std::int64_t>(recipe.model_seed), "train.seed", 0,
                     std::int64_t{1} << 53));
  recipe.threads = static_cast<int>(
      values.integer("train.threads", 0, "0: --threads, or the cores at hand", 0, 1024));
  recipe.trainer.keep = values.choice(
      "train.recompute", Keep::block_inputs,
      "nautile's choice: memory before speed (report §3.2.3 recomputes parts of blocks)",
      {{"blocks", Keep::block_inputs}, {"keep", Keep::everything}});
  recipe.trainer.ema_decay = values.number(
      "train.ema_decay", 0, "not published (report §3.2.3 keeps a mean): 0, none", 0, 0.999999);
  recipe.max_minutes = values.number("train.max_minutes", 0, "0: no limit", 0, 1e9);
  recipe.on_spike =
      values.choice("train.on_spike", OnSpike::stop, "nautile's choice (report §1: no spike ever)",
                    {{"stop", OnSpike::stop}, {"skip", OnSpike::skip}});
  recipe.spike_factor = values.number(
      "train.spike_factor", 2, "nautile's choice: times the running mean; 0: only NaN", 0, 1e6);
  recipe.max_skips = static_cast<int>(values.integer("train.max_skips", 3, kOurs, 0, 1 << 20));
}

// Who computes what; the model knows nothing of it.
void read_parallel(RecipeValues& values, Recipe& recipe) {
  recipe.data_ranks = static_cast<int>(
      values.integer("parallel.data", 0, "0: as many processes as mpirun starts", 0, 1 << 16));
  recipe.trainer.expert_ranks = static_cast<int>(values.integer(
      "parallel.expert", 1, "nautile's choice: every process has all experts (report §3.2: 64)", 1,
      1 << 16));
  recipe.timeout = values.number("parallel.timeout", 600,
                                 "nautile's choice: seconds to wait for another process", 1, 1e6);
  const int expert = recipe.trainer.expert_ranks, experts = recipe.model.moe.route.experts;
  if (expert > std::max(1, experts)) {
    values.wrong("parallel.expert",
                 fmt::format("spreads {} experts over {} processes", experts, expert));
  }
  if (recipe.data_ranks % expert != 0) {
    values.wrong("parallel.data", fmt::format("({}) is not a multiple of parallel.expert ({})",
                                              recipe.data_ranks, expert));
  }
}

void read_optimizer(RecipeValues& values, OptimizerConfig& o) {
  using Kind = OptimizerConfig::Kind;
  constexpr const char* kReport = "DeepSeek-V3 report §4.2";
  o.kind = values.choice("optimizer.kind", Kind::adamw, kReport,
                         {{"adamw", Kind::adamw}, {"muon", Kind::muon}});
  o.beta1 = values.number("optimizer.beta1", o.beta1, kReport, 0, 0.999999);
  o.beta2 = values.number("optimizer.beta2", o.beta2, kReport, 0, 0.9999999);
  o.decay = values.number("optimizer.decay", o.decay, kReport, 0, 10);
  o.epsilon =
      values.number("optimizer.epsilon", o.epsilon, "not published: PyTorch's default", 1e-30, 1);
  o.clip = values.number("optimizer.clip", o.clip, kReport, 0, 1e6);
  o.moments = values.choice("optimizer.moments", MomentFormat::bf16, "DeepSeek-V3 report §3.3.3",
                            {{"bf16", MomentFormat::bf16}, {"f32", MomentFormat::f32}});
  o.momentum =
      values.number("optimizer.momentum", o.momentum, "Muon's: Jordan et al. 2024", 0, 0.999999);
}

void read_watch(RecipeValues& values, Recipe& recipe) {
  recipe.checkpoint_every = values.integer("checkpoint.every", 500, kOurs, 1, kMany);
  recipe.keep_last = static_cast<int>(values.integer("checkpoint.keep_last", 3, kOurs, 1, 1 << 20));
  recipe.milestone_every =
      values.integer("checkpoint.milestone_every", 0, "0: none is kept for good", 0, kMany);
  recipe.eval_every = values.integer("eval.every", 250, kOurs, 0, kMany);
  recipe.eval_tokens =
      values.integer("eval.tokens", 65536, "nautile's choice, of each source", 1, kMany);
  recipe.patience =
      values.integer("eval.patience", 0, "0: evaluations do not end the run", 0, kMany);
  recipe.keep_best = values.flag("checkpoint.keep_best", Answer::no,
                                 "nautile's choice: pre-training keeps the last") == Answer::yes
                         ? Recipe::KeepBest::yes
                         : Recipe::KeepBest::no;
  if (recipe.patience > 0 && recipe.eval_every == 0)
    values.wrong("eval.patience", "needs evaluations, and eval.every is 0");
  recipe.samples.every = values.integer("samples.every", 500, kOurs, 0, kMany);
  recipe.samples.tokens = values.integer("samples.tokens", 64, kOurs, 1, 1 << 20);
  recipe.samples.temperature = values.number("samples.temperature", 0, "greedy", 0, 100);
  recipe.samples.prompts = values.texts("samples.prompts", "none: no samples are written");
  recipe.log_every = values.integer("log.every", 10,
                                    "nautile's choice: lines where there is no terminal", 1, kMany);
  recipe.loads_every =
      values.integer("log.loads_every", 50, "nautile's choice: loads of all experts", 0, kMany);
  recipe.event_files = values.flag("log.tensorboard", Answer::yes, kOurs) == Answer::yes
                           ? Recipe::EventFiles::yes
                           : Recipe::EventFiles::no;
}

void read_cost(RecipeValues& values, CostRecipe& cost) {
  cost.devices = values.number("cost.devices", 1, "this machine", 1, 1e7);
  cost.dollars_per_hour =
      values.number("cost.dollars_per_hour", 2.0, "DeepSeek-V3 report §1: an H800 hour", 0, 1e6);
  cost.peak_flops = values.number("cost.peak_flops", 0, "0: measured on this machine", 0, 1e18);
  cost.mfu = values.number("cost.mfu", 0.3, "an assumption: a run prints what it reaches", 1e-6, 1);
  cost.device_hours_per_trillion_tokens = values.number("cost.device_hours_per_trillion_tokens", 0,
                                                        "0: from peak_flops and mfu", 0, 1e12);
}

void read_lora(RecipeValues& values, Recipe& recipe) {
  constexpr std::pair<const char*, AdapterTarget> kTargets[] = {
      {"attention", AdapterTarget::attention},
      {"experts", AdapterTarget::experts},
      {"ffn", AdapterTarget::ffn}};
  LoraConfig& lora = recipe.lora;
  lora.rank = static_cast<int>(
      values.integer("lora.rank", 0, "0: no adapter, all weights are trained", 0, 4096));
  if (lora.rank == 0) {
    for (const char* key : {"lora.alpha", "lora.targets"}) {
      if (values.given(key)) values.wrong(key, "needs lora.rank");
    }
    return;
  }
  lora.alpha =
      values.number("lora.alpha", 2.0 * lora.rank, "nautile's choice: twice the rank", 0, 1e6);
  std::vector<std::string> names =
      values.texts("lora.targets", "all linear layers of blocks (Dettmers et al. 2023)");
  if (names.empty()) names = {"attention", "experts", "ffn"};
  for (const std::string& name : names) {
    const auto known = std::find_if(std::begin(kTargets), std::end(kTargets),
                                    [&](const auto& target) { return name == target.first; });
    if (known == std::end(kTargets))
      values.wrong("lora.targets",
                   fmt::format("holds '{}' (expected attention, experts or ffn)", name));
    lora.targets.push_back(known->second);
  }
  if (recipe.from.empty()) values.wrong("lora.rank", "needs a model to adapt: model.from");
  if (lora.rank > recipe.model.width)
    values.wrong("lora.rank", fmt::format("is {}, more than the model's width of {}", lora.rank,
                                          recipe.model.width));
}

bool always_zero(const std::vector<StepValue>& values) {
  for (const StepValue& value : values) {
    if (value.value != 0) return false;
  }
  return true;
}

// In the order in which people think of them; inside a table as they were read.
std::vector<EffectiveValue> in_tables(std::vector<EffectiveValue> values) {
  constexpr std::string_view kTables[] = {
      "model",     "tune",     "dpo",        "lora", "data",    "train", "parallel",
      "optimizer", "schedule", "checkpoint", "eval", "samples", "log",   "cost"};
  const auto rank = [&](const EffectiveValue& value) {
    const std::string_view table = std::string_view(value.key).substr(0, value.key.find('.'));
    return std::find(std::begin(kTables), std::end(kTables), table) - std::begin(kTables);
  };
  std::stable_sort(values.begin(), values.end(),
                   [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
  return values;
}

// A loss that the model could have and the recipe turns off is said, never silent.
void note_losses(Recipe& recipe) {
  const ScheduleConfig& schedule = recipe.trainer.schedule;
  const ModelConfig& model = recipe.model;
  const bool experts = model.moe.route.experts > 0;
  const auto say = [&](std::string text) { recipe.notices.push_back(std::move(text)); };
  if (model.mtp_layers > 0 && always_zero(schedule.mtp_lambda))
    say("the model has a prediction module (MTP) and schedule.mtp_lambda is 0: it is not trained");
  if (model.mtp_layers == 0)
    say("the model has no prediction module (model.num_nextn_predict_layers = 0): no MTP loss");
  if (experts && always_zero(schedule.balance_alpha))
    say("schedule.balance_alpha is 0: no balance loss inside a sequence");
  if (recipe.lora.rank > 0 && !always_zero(schedule.bias_gamma)) {
    say("schedule.bias_gamma is not used: an adapter has no router biases");
  } else if (experts && model.moe.bias == MoeConfig::RouterBias::no) {
    say("the router has no bias (model.topk_method): schedule.bias_gamma is not used");
  } else if (experts && always_zero(schedule.bias_gamma)) {
    say("schedule.bias_gamma is 0: router biases stay as they are, nothing balances the experts");
  }
  if (!experts) say("the model has no experts: no balance loss, no router biases");
  const double batch = recipe.slot_tokens() * static_cast<double>(recipe.slots);
  if (static_cast<double>(schedule.warmup_steps) * batch >= recipe.tokens)
    say(fmt::format("the warm-up of {} steps is longer than the run", schedule.warmup_steps));
}

}  // namespace

std::int64_t Recipe::slots_at(double tokens_seen) const {
  const double batch = Schedule(trainer.schedule).batch_tokens(tokens_seen);
  return std::clamp<std::int64_t>(std::llround(batch / slot_tokens()), 1, slots);
}

Recipe parse_recipe(std::string_view toml, const std::string& path,
                    const std::vector<std::string>& sets, const RecipeKind& kind) {
  Recipe recipe;
  recipe.path = path;
  recipe.held_out_loss = kind.held_out_loss;
  RecipeValues values(toml, path, sets, kind.defaults);
  try {
    if (kind.keys) kind.keys(values);
    read_data(values, recipe.data);  // first: the model's positions follow the length of rows
    if (kind.model) {
      recipe.model = *kind.model;
      recipe.from = values.path("model.from", "none");
      NAUTILE_CHECK(recipe.model.context >= recipe.data.options.seq_len,
                    "{}: rows of {} tokens (data.seq_len) for a model of {} positions", path,
                    recipe.data.options.seq_len, recipe.model.context);
    } else {
      read_model(values, recipe, kind.resumed_config);
    }
    read_lora(values, recipe);
    read_train(values, recipe);
    if (recipe.lora.rank > 0 && values.given("train.precision"))
      recipe.notices.push_back(
          "train.precision is not used: beside an adapter the weights are multiplied as they are");
    read_parallel(values, recipe);
    read_optimizer(values, recipe.trainer.optimizer);
    read_schedule(values, recipe);
    read_watch(values, recipe);
    read_cost(values, recipe.cost);
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::bad_input, "{}: {}", path, error.what());
  }
  values.finish();
  recipe.effective = in_tables(values.effective());
  note_losses(recipe);
  return recipe;
}

std::vector<RecipeDifference> differences(const Recipe& now, const Recipe& before) {
  const auto find = [](const Recipe& recipe, const std::string& key) {
    for (const EffectiveValue& value : recipe.effective) {
      if (value.key == key) return value.value.dump();
    }
    return std::string("absent");
  };
  std::vector<RecipeDifference> list;
  for (const EffectiveValue& value : now.effective) {
    const std::string here = value.value.dump(), there = find(before, value.key);
    if (here != there)
      list.push_back({value.key, fmt::format("{}: {}, was {}", value.key, here, there)});
  }
  for (const EffectiveValue& value : before.effective) {
    if (find(now, value.key) == "absent") {
      list.push_back({value.key, fmt::format("{}: absent, was {}", value.key, value.value.dump())});
    }
  }
  return list;
}

}  // namespace nautile::train
