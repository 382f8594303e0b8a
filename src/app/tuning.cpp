#include "app/tuning.h"

#include <algorithm>
#include <filesystem>
#include <optional>

#include "align/tuning_data.h"
#include "app/export.h"
#include "app/progress_line.h"
#include "base/file.h"
#include "base/json.h"
#include "base/parallel.h"
#include "model/peft.h"
#include "train/data_folder.h"
#include "train/export.h"

namespace nautile::app {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

using align::Method;

const char* verb_of(Method method) {
  return method == Method::sft ? "sft" : "dpo";
}

// Everything that was said, as the keys of a recipe: first options, then --set.
std::vector<std::string> all_sets(const TuningChoice& choice) {
  std::vector<std::string> sets = choice.options;
  const auto files = [&](const char* key, const std::vector<std::string>& list) {
    if (!list.empty()) sets.push_back(fmt::format("{}={}", key, Json(list).dump()));
  };
  files("tune.data", choice.data);
  files("tune.eval", choice.eval);
  if (!choice.machine.path.empty())
    sets.push_back("tune.model=" + Json(choice.machine.path).dump());
  if (choice.skip_bad) sets.emplace_back("tune.skip_bad=true");
  sets.insert(sets.end(), choice.sets.begin(), choice.sets.end());
  return sets;
}

// A run without one begins anew, whatever an earlier try has left.
bool has_checkpoint(const std::string& out) {
  return fs::is_directory(out) &&
         !train::RunFolder(out, train::RunFolder::Use::read).steps().empty();
}

// The recipe's text, and what to parse it with; a run that goes on brings its own.
train::StoredRecipe find_recipe(const TuningChoice& choice) {
  train::StoredRecipe stored;
  if (!choice.recipe.empty()) {
    stored = {read_file(choice.recipe, std::size_t{1} << 24),
              fs::absolute(choice.recipe).string(),
              {},
              {}};
  } else if (choice.resume && has_checkpoint(choice.out)) {
    stored = train::stored_recipe(choice.out);
  } else {
    stored.path = fmt::format("nautile {}", verb_of(choice.method));
  }
  for (std::string& set : all_sets(choice)) stored.sets.push_back(std::move(set));
  return stored;
}

// "a,b" -> ["a", "b"], as a recipe has it.
std::string list_text(const std::string& names) {
  Json list = Json::array();
  for (std::size_t begin = 0; begin <= names.size();) {
    const std::size_t end = std::min(names.find(',', begin), names.size());
    list.push_back(names.substr(begin, end - begin));
    begin = end + 1;
  }
  return list.dump();
}

void require_fresh(const std::string& out) {
  std::error_code error;
  if (!fs::exists(out, error) || (fs::is_directory(out) && fs::is_empty(out))) return;
  throw make_error(ErrorKind::usage, "{} is there and not empty", out)
      .hint("--resume goes on with the run in it; another --out begins a new one");
}

// The data of the run, made unless a checkpoint was trained on those that are there.
align::TuningDataReport make_data(const align::Tuning& tuning, const align::BaseModel& base,
                                  const align::ChatEncoder& encoder, const std::string& folder,
                                  int threads, const Environment& environment) {
  if (has_checkpoint(fs::path(folder).parent_path().string()))
    return align::TuningDataReport::of_index(train::DataFolder::open(folder).index);
  if (tuning.data.empty()) {
    throw make_error(ErrorKind::usage, "`nautile {}` needs --data FILE", verb_of(tuning.method))
        .hint("{}",
              tuning.method == Method::sft
                  ? "JSON lines with OpenAI messages: {\"messages\": [{\"role\": \"user\", "
                    "\"content\": \"…\"}, {\"role\": \"assistant\", \"content\": \"…\"}]}"
                  : "JSON lines: {\"prompt\": \"…\", \"chosen\": \"…\", \"rejected\": \"…\"}, "
                    "each a text or a list of messages");
  }
  fs::remove_all(folder);
  const CatchInterrupt interrupt;
  ProgressLine line(environment, "reading the data");
  ThreadPool pool(threads);
  align::TuningDataOptions options;
  options.files = tuning.data;
  options.eval = tuning.eval;
  options.held_out = tuning.held_out;
  options.most_tokens = align::most_tokens(tuning, base.config.context);
  options.too_long = tuning.too_long;
  options.bad = tuning.bad;
  try {
    const align::TuningDataReport report = align::build_tuning_data(
        options,
        [&](const Json& json) {
          return tuning.method == Method::sft ? align::encode_conversation(encoder, json)
                                              : align::encode_preference(encoder, json);
        },
        encoder.tokenizer, folder, pool,
        [&](std::int64_t done, std::int64_t all) {
          line.update(done, all);
          if (interrupt.happened()) throw Interrupted();
        });
    if (fs::is_directory(base.text)) train::copy_tokenizer_files(base.text, folder);
    return report;
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(folder, ignored);
    fs::remove(fs::path(folder).parent_path(), ignored);  // if it is empty
    throw;
  }
}

void print_data(Method method, const align::TuningDataReport& data, std::int64_t most) {
  const char* what = method == Method::sft ? "samples" : "pairs";
  fmt::print("{} lines: {} {} to learn from, {} held out\n", data.lines, data.train, what,
             data.held_out);
  fmt::print("  {} tokens, {} of them to be learnt; the longest of the {} has {}\n", data.tokens,
             data.learnt_tokens, what, data.longest);
  if (data.cut > 0) fmt::print("  {} longer than {} tokens were cut there\n", data.cut, most);
  if (data.too_long > 0) {
    fmt::print("  {} {} are left out: longer than {} tokens, or nothing to learn in them\n",
               data.too_long, what, most);
  }
  if (data.malformed > 0) fmt::print("  {} malformed lines are left out\n", data.malformed);
  std::fflush(stdout);
}

// The step to keep: the best if it was kept, else the last. `told` is what there is to say of it.
struct Chosen {
  std::int64_t step;
  std::string told;
};
Chosen chosen_step(const train::TrainingRun& run) {
  const auto best = run.best_step();
  const std::vector<std::int64_t> steps = run.folder().steps();
  if (!best || std::find(steps.begin(), steps.end(), *best) == steps.end())
    return {steps.back(), fmt::format("step {}", steps.back())};
  return {*best,
          fmt::format("step {} (the best: {:.4f} on held-out data)", *best, run.best_score())};
}

// A Hugging Face folder in the run's own.
void write_model(const std::string& out, train::TrainingRun& run, Backend& backend) {
  const Chosen chosen = chosen_step(run);
  const train::SavedStep saved = run.folder().at_step(chosen.step);
  train::ExportOptions options;
  options.place = train::ExportOptions::Place::beside;
  options.tokenizer = run.folder().tokenizer_folder();
  const bool text = fs::exists(fs::path(options.tokenizer) / "tokenizer.json") ||
                    fs::exists(fs::path(options.tokenizer) / "tiktoken.model");
  Json config = parse_ordered_json(saved.state().model_config, saved.path() + ": model_config");
  add_token_ids(config, text ? options.tokenizer : "");
  const train::ExportReport report = train::export_folder(
      config, train::numbers_of(saved, train::SavedStep::Numbers::masters), backend, out, options);
  fmt::print("{}: the model of {}, {}; talk with it: nautile chat -m {}\n", out, chosen.told,
             bytes_text(static_cast<double>(report.bytes)), out);
}

// An adapter as PEFT writes it.
void write_adapter(const std::string& out, const std::string& base, train::TrainingRun& run) {
  const Chosen chosen = chosen_step(run);
  run.folder().at_step(chosen.step).load_into(run.trainer());
  write_peft(*run.adapter(), run.trainer().model().config(), base, out);
  train::copy_tokenizer_files(run.folder().tokenizer_folder(), out);
  fmt::print("{}: the adapter of {}, {} numbers; use it: nautile chat -m {} --lora {}\n", out,
             chosen.told, run.adapter()->parameters(), base, out);
}

void require_trainable(const align::Tuning& tuning, const align::BaseModel& base) {
  if (base.kind == align::BaseModel::Kind::gguf && !tuning.lora) {
    throw make_error(ErrorKind::unsupported, "{} is a GGUF file: its weights cannot be trained",
                     base.path)
        .hint(
            "an adapter can: --lora-rank 16. All weights are trained of a Hugging Face folder, or "
            "of a run of `nautile train`");
  }
  if (base.kind == align::BaseModel::Kind::run && tuning.lora) {
    throw make_error(ErrorKind::unsupported, "{} is a run: an adapter needs a model's files",
                     base.path)
        .hint("`nautile export {} --to FOLDER` writes them", base.path);
  }
}

// What is wrong with the recipe is said before the data are read.
void try_recipe(const align::Tuning& tuning, const align::BaseModel& base,
                const train::StoredRecipe& stored, const std::string& folder) {
  align::TuningDataReport some;
  some.tokens = 1;
  train::parse_recipe(stored.text, stored.path, stored.sets,
                      align::tuning_kind(tuning, {some, folder, base}));
}

// Preferences: pairs instead of text, another loss, and the reference before the first step.
struct Preferences {
  train::DataFolder folder;
  align::PairSource pairs;
  std::string reference;

  Preferences(const std::string& data, const train::Recipe& recipe)
      : folder(train::DataFolder::open(data)),
        pairs(folder, with_rows(recipe)),
        reference((fs::path(data) / "reference.f32").string()) {
    if (fs::exists(reference)) pairs.read_reference(reference);
  }
  static train::DatasetOptions with_rows(const train::Recipe& recipe) {
    train::DatasetOptions options = recipe.data.options;
    options.slot_rows = recipe.slot_rows;
    return options;
  }
  void join(TrainingJob& job, const align::PreferenceConfig& config) {
    job.recipe.trainer.main = align::preference_loss(config);
    job.options.source.slot = [this](std::int64_t index) { return pairs.slot(index); };
    job.options.source.held_out = &pairs.held_out();
    job.begin = [this](train::Trainer& trainer) {
      if (fs::exists(reference)) return;
      fmt::print(stderr, "nautile: computing what the model says of {} pairs before it is tuned\n",
                 pairs.pairs());
      pairs.compute_reference(trainer, reference);
    };
  }
};

}  // namespace

ExitCode run_tuning(const TuningChoice& choice, const Environment& environment) {
  const Method method = choice.method;
  if (choice.out.empty())
    fail(ErrorKind::usage, "`nautile {}` needs --out FOLDER", verb_of(method));
  if (!choice.resume) require_fresh(choice.out);
  train::StoredRecipe stored = find_recipe(choice);
  align::Tuning tuning = align::parse_tuning(method, stored.text, stored.path, stored.sets);
  if (tuning.model.empty()) {
    tuning.model = fs::absolute(model_path(choice.machine, environment)).string();
    stored.sets.push_back("tune.model=" + Json(tuning.model).dump());
  }
  const align::BaseModel base = align::open_base(tuning.model);
  require_trainable(tuning, base);
  const std::string folder = fs::absolute(fs::path(choice.out) / "data").string();
  try_recipe(tuning, base, stored, folder);
  const TextFiles text = open_text_files(base.text);
  const auto format = chat_format_of(text, base.config.family, base.path, tuning.chat_format);
  const align::TuningDataReport data = make_data(
      tuning, base, {text.tokenizer, *format, tool_format_of(text, *format), tool_words(*format)},
      folder, cpu_options(choice.machine, environment).threads, environment);
  print_data(method, data, align::most_tokens(tuning, base.config.context));

  TrainingJob job;
  job.verb = verb_of(method);
  job.options.kind = align::tuning_kind(tuning, {data, folder, base});
  job.recipe = train::parse_recipe(stored.text, stored.path, stored.sets, job.options.kind);
  job.options.out = choice.out;
  job.options.start = train::RunOptions::Start::resume;  // from the beginning if there is no step
  job.options.recipe_text = stored.text;
  job.options.sets = lasting_sets(job.recipe, stored.sets);
  job.options.source.tokenizer = &text.tokenizer;
  job.cpu = training_cpu(choice.machine, job.recipe, environment, available_cores());
  job.quiet = choice.quiet;
  std::optional<Preferences> preferences;
  if (method == Method::dpo) {
    preferences.emplace(folder, job.recipe);
    preferences->join(job, tuning.preference);
  }
  job.finish = [&](train::TrainingRun& run, Backend& backend) {
    print_end(choice.out, run);
    if (run.adapter()) {
      write_adapter(choice.out, base.path, run);
    } else {
      write_model(choice.out, run, backend);
    }
  };
  LocalComm alone;
  return carry_out(std::move(job), environment, alone);
}

void add_tuning_options(CLI::App& verb, TuningChoice& choice) {
  add_training_options(verb, choice);
  add_model_path(verb, choice.machine);
  const auto set = [&](const char* name, const char* key, const char* type, const char* help) {
    verb.add_option_function<std::string>(
            name,
            [list = &choice.options, key = std::string(key)](const std::string& value) {
              list->push_back(key + "=" + (key == "lora.targets" ? list_text(value) : value));
            },
            help)
        ->type_name(type)
        ->group("Tuning");
  };
  verb.add_option(
          "--data", choice.data,
          choice.method == Method::sft
              ? "Conversations: JSON lines with \"messages\" and perhaps \"tools\" (.zst too)"
              : "Preferences: JSON lines with \"prompt\", \"chosen\" and \"rejected\" (.zst too)")
      ->type_name("FILE")
      ->group("Tuning");
  verb.add_option("--eval", choice.eval,
                  "Likewise, to evaluate on (default: --held-out of the data)")
      ->type_name("FILE")
      ->group("Tuning");
  set("--held-out", "tune.held_out", "SHARE",
      "Share of the lines to evaluate on, chosen by a hash of each (default: 0.05)");
  set("--too-long", "tune.too_long", "POLICY",
      "What is longer than a row: skip it, or cut its end off (default: skip)");
  verb.add_flag("--skip-bad", choice.skip_bad, "Leave malformed lines out instead of stopping")
      ->group("Tuning");
  set("--chat-format", "tune.chat_format", "FORMAT", "As `nautile chat` takes it");
  set("--epochs", "tune.epochs", "N",
      "Times through the data (default: 2 of conversations, 1 of preferences)");
  set("--steps", "train.steps", "N", "Steps in all, instead of --epochs");
  set("--lr", "schedule.peak_rate", "RATE",
      "The highest learning rate (default: sft 2e-5, dpo 1e-6; with an adapter 2e-4, 5e-5)");
  set("--schedule", "schedule.kind", "KIND",
      "cosine, wsd, deepseek-v3 or phases (default: cosine to a fifth)");
  set("--batch-tokens", "train.batch_tokens", "N", "Tokens of a step, in slots that fit memory");
  set("--seq-len", "data.seq_len", "N",
      "Tokens of a row (default: as the longest line needs, at most 4096)");
  set("--precision", "train.precision", "KIND", "bf16, f32 or fp8 (default: bf16)");
  set("--lora-rank", "lora.rank", "R",
      "Train an adapter of this rank instead of the weights (default: 0, none)");
  set("--lora-alpha", "lora.alpha", "A", "It counts A / R times (default: twice the rank)");
  set("--lora-targets", "lora.targets", "LIST",
      "What is adapted: attention, experts, ffn, with commas (default: all)");
  set("--patience", "eval.patience", "N",
      "Stop after so many evaluations that are no better (default: never)");
  set("--seed", "train.seed", "N", "Of the order of the data (default: 1)");
  if (choice.method == Method::sft) return;
  set("--beta", "dpo.beta", "B", "How strongly the model is held to what it was (default: 0.1)");
  set("--label-smoothing", "dpo.label_smoothing", "E",
      "Share of the pairs that are the wrong way round (default: 0)");
}

}  // namespace nautile::app
