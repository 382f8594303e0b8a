// run_start.cpp — how a training run begins: folder, memory, weights, and a trial of the longest
// slot.
#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/rng.h"
#include "model/loader.h"
#include "train/import.h"
#include "train/run.h"

namespace nautile::train {
namespace {

namespace fs = std::filesystem;

std::string gigabytes(double bytes) {
  return fmt::format("{:.2f} GB", bytes / 1e9);
}

void require_fit(const Recipe& recipe, int ranks, double available) {
  const TrainingMemory m = training_memory(recipe, ranks);
  if (available <= 0 || m.total() <= available) return;
  throw make_error(ErrorKind::no_memory,
                   "the run does not fit in memory: masters {} + what is multiplied {} + {} "
                   "gradients {} + moments {} + working memory {} + mean {} + the copy for a "
                   "checkpoint {} = {}, but {} are available",
                   gigabytes(m.masters), gigabytes(m.copies), m.tree_levels, gigabytes(m.gradients),
                   gigabytes(m.moments), gigabytes(m.activations), gigabytes(m.mean),
                   gigabytes(m.saving), gigabytes(m.total()), gigabytes(available))
      .hint("smaller slots (train.slot_rows), fewer of them (train.slots), a smaller model");
}

// Numbers of another run's checkpoint; the optimizer begins afresh.
void import_run(const SavedStep& saved, ParamSet& params, Backend& backend) {
  const auto copy = [&](const std::string& name, const Shape& shape, std::span<float> to) {
    const std::span<const float> from = saved.values(name, shape, SavedStep::Numbers::masters);
    std::copy(from.begin(), from.end(), to.begin());
  };
  for (const Param& p : params.params()) {
    if (p.owned) copy(p.info.name, p.info.shape, params.master(p));
  }
  for (RouterBias& bias : params.router_biases())
    copy(bias.slot->weight.name, bias.slot->weight.shape, bias.slot->values);
  params.refresh(backend);
}

void import_from(const std::string& from, ParamSet& params, Backend& backend) {
  const bool finished = fs::exists(fs::path(from) / "config.json");  // a tuned model in its run
  if (!finished && fs::is_directory(fs::path(from) / "checkpoints")) {
    const auto saved = RunFolder(from, RunFolder::Use::read).newest_valid();
    NAUTILE_CHECK(saved, "{} has no checkpoint", from);
    return import_run(*saved, params, backend);
  }
  Checkpoint checkpoint = Checkpoint::open(from);
  import_masters(checkpoint, params, backend);
}

// As long as a slot can be: full rows of one document each.
TokenBatch longest_slot(const Recipe& recipe) {
  TokenBatch batch;
  const std::int64_t rows = recipe.slot_rows, length = recipe.data.options.seq_len;
  batch.starts = batch.rows = batch.documents = {0};
  for (std::int64_t t = 0; t < rows * length; ++t) {
    const auto at = static_cast<std::uint64_t>(t);
    const auto token = static_cast<std::int32_t>(
        philox(0, at, 0)[0] % static_cast<std::uint32_t>(recipe.model.vocabulary));
    const std::int64_t place = t % length;
    batch.tokens.push_back(token);
    batch.positions.push_back(static_cast<std::int32_t>(place));
    batch.targets.push_back(place + 1 < length ? token : kNoTarget);
    batch.targets2.push_back(place + 2 < length ? token : kNoTarget);
    batch.loss_weight.push_back(place + 1 < length ? 1.0f : 0.0f);
    batch.loss_weight2.push_back(place + 2 < length ? 1.0f : 0.0f);
    if (place + 1 < length) continue;
    for (auto* bounds : {&batch.starts, &batch.rows, &batch.documents})
      bounds->push_back(static_cast<std::int32_t>(t + 1));
  }
  return batch;
}

}  // namespace

TrainingRun::TrainingRun(Recipe recipe, RunOptions options, Backend& backend, Comm& comm,
                         RunHooks hooks)
    : recipe_(std::move(recipe)),
      options_(std::move(options)),
      backend_(backend),
      comm_(comm),
      hooks_(std::move(hooks)),
      flops_(training_flops(recipe_.model)),
      watch_(recipe_.spike_factor),
      start_(Clock::now()) {
  check_ranks();
  require_fit(recipe_, comm_.size(), options_.available_bytes);
  data_ = std::make_unique<RunData>(recipe_, options_.source);
  for (const std::string& text : data_->notices()) say(text);
  open_folder();
  make_trainer();
  begin();
}

void TrainingRun::make_trainer() {
  // Address space: pages count when they are touched.
  const auto scratch =
      static_cast<std::size_t>(4 * training_memory(recipe_, comm_.size()).activations) +
      (std::size_t{1} << 30);
  if (recipe_.lora.rank == 0) {
    trainer_ = std::make_unique<Trainer>(recipe_.model, recipe_.trainer, backend_, scratch, &comm_);
    return;
  }
  base_ = std::make_unique<Checkpoint>(Checkpoint::open(recipe_.from));
  adapter_ = std::make_unique<Adapter>(base_->config(), recipe_.lora);
  NAUTILE_CHECK(!adapter_->entries().empty(), "lora.targets: {} has no weights of these kinds",
                recipe_.from);
  trainer_ = std::make_unique<Trainer>(base_->config(), recipe_.trainer, backend_, scratch,
                                       base_->weights(), *adapter_);
}

void TrainingRun::check_ranks() const {
  const int ranks = comm_.size(), expert = recipe_.trainer.expert_ranks;
  if (ranks > 1 && (recipe_.lora.rank > 0 || options_.source.slot)) {
    throw make_error(ErrorKind::unsupported, "{} processes train {}", ranks,
                     recipe_.lora.rank > 0 ? "an adapter" : "on preferences")
        .hint("start one: without mpirun");
  }
  if (recipe_.data_ranks != 0 && recipe_.data_ranks != ranks) {
    throw make_error(ErrorKind::usage, "parallel.data is {}, and there {} {} process{}",
                     recipe_.data_ranks, ranks == 1 ? "is" : "are", ranks, ranks == 1 ? "" : "es")
        .hint("mpirun -n {} nautile train …, or --set parallel.data={}", recipe_.data_ranks, ranks);
  }
  if (ranks % expert != 0) {
    throw make_error(ErrorKind::usage,
                     "parallel.expert is {}: experts are spread over so many processes, and of {} "
                     "no such groups can be made",
                     expert, ranks)
        .hint("start a multiple of {} (mpirun -n {} nautile train …), or --set parallel.expert=1",
              expert, expert);
  }
}

void TrainingRun::open_folder() {
  if (!comm_.is_root()) {
    comm_.barrier();  // now it is there
    folder_ = std::make_unique<RunFolder>(options_.out, RunFolder::Use::read);
    return;
  }
  const bool there = fs::exists(options_.out) && !fs::is_empty(options_.out);
  if (there && options_.start == RunOptions::Start::fresh) {
    throw make_error(ErrorKind::usage, "{} is there and not empty", options_.out)
        .hint("--resume goes on with the run in it; another --out begins a new one");
  }
  folder_ = std::make_unique<RunFolder>(options_.out, RunFolder::Use::train,
                                        Retention{recipe_.keep_last, recipe_.milestone_every});
  comm_.barrier();
}

// The first rank looks for it, all open the one that it found.
std::optional<SavedStep> TrainingRun::newest_valid() {
  std::optional<SavedStep> saved;
  if (comm_.is_root())
    saved = folder_->newest_valid([this](const std::string& text) { say(text); });
  const std::string path = comm_.broadcast(saved ? saved->path() : "");
  if (!comm_.is_root() && !path.empty()) saved = SavedStep::open(path);
  return saved;
}

void TrainingRun::begin() {
  std::optional<SavedStep> saved;
  if (options_.start == RunOptions::Start::resume) saved = newest_valid();
  if (saved) {
    resume(*saved);
  } else if (adapter_) {
    trainer_->params().initialize_adapter(recipe_.model_seed);
  } else if (!recipe_.from.empty()) {
    compare_tokenizers();
    import_from(recipe_.from, trainer_->params(), backend_);
    trainer_->refresh();
  } else {
    trainer_->params().initialize(recipe_.model_seed, recipe_.init_std);
    trainer_->refresh();
  }
  if (!saved && hooks_.begin) hooks_.begin(*trainer_);
  if (!options_.source.slot) try_longest_slot();
  if (comm_.is_root()) {
    folder_->keep_tokenizer(data_->folder().path);
    keep_steps(folder_->file("samples.jsonl"), trainer_->step_count());
    write_file_atomic(folder_->file("recipe.toml"), recipe_text(recipe_.effective));
    metrics_ =
        std::make_unique<MetricsLog>(folder_->path(), trainer_->step_count(), recipe_.event_files);
  }
  if (!saved)
    note("begun", 0, "begun with " + (recipe_.from.empty() ? "random weights" : recipe_.from));
  // Going back needs something to go back to.
  if (!saved && recipe_.on_spike == OnSpike::skip) save();
}

void TrainingRun::resume(const SavedStep& saved) {
  const RunState& state = saved.state();
  const Recipe before =
      parse_recipe(state.recipe, state.extra.value("recipe_path", recipe_.path),
                   state.extra.value("sets", std::vector<std::string>{}), options_.kind);
  std::string moved;
  for (const RecipeDifference& difference : differences(recipe_, before)) {
    // The data cursor counts slots of one dataset, wherever that lies.
    const bool tuned = difference.key.starts_with("tune.") && difference.key != "tune.epochs";
    const bool data = difference.key.starts_with("data.") && difference.key != "data.folder";
    if (data || difference.key == "train.slot_rows" || tuned) {
      moved += "\n  " + difference.text;
    } else {
      say("changed since the checkpoint: " + difference.text);
    }
  }
  const std::string found = checksum_text(data_->folder().identity());
  if (const std::string known = state.extra.value("data", found); known != found)
    moved += fmt::format("\n  what is in {} now: checksum {}, was {}", data_->folder().path, found,
                         known);
  if (!moved.empty()) {
    throw make_error(ErrorKind::bad_input, "{} was begun on other data:{}", options_.out, moved)
        .hint("a new run may begin with its weights: model.from = \"{}\"", options_.out);
  }
  saved.load_into(*trainer_);
  next_slot_ = state.next_slot;
  saved_step_ = state.step;
  set_watches(state);
  skips_ = state.extra.value("skips", 0);
  const std::string story = fmt::format("going on after step {} ({} of {} tokens)", state.step,
                                        state.tokens_seen, recipe_.tokens);
  note("resumed", state.step, story);
  say(story);
}

// The same ids may mean other tokens.
void TrainingRun::compare_tokenizers() const {
  if (options_.source.tokenizer) return;
  for (const char* name : {"tokenizer.json", "tokenizer/tokenizer.json"}) {
    const std::string file = (fs::path(recipe_.from) / name).string();
    if (!fs::exists(file)) continue;
    if (vocabulary_of(read_file(file), 0).hash != data_->folder().vocabulary.hash)
      say(fmt::format(
          "{} is another file than the tokenizer of the data in {}: unless they mean the "
          "same tokens, the model has to learn them anew",
          file, data_->folder().path));
    return;
  }
}

// One on each rank. Fails now, not at the batch that happens to be the longest. Nothing moves.
void TrainingRun::try_longest_slot() {
  const TokenBatch slot = longest_slot(recipe_);
  try {
    trainer_->gradients_of({&slot, 1}, comm_.size());
  } catch (const Error& error) {
    throw error.with("while trying a slot of {} tokens, the longest of this recipe", slot.size());
  }
}

StoredRecipe stored_recipe(const std::string& out) {
  const auto saved = RunFolder(out, RunFolder::Use::read).newest_valid();
  if (!saved) {
    throw make_error(ErrorKind::usage, "{} has no checkpoint to take the recipe from", out)
        .hint("name the recipe as well");
  }
  const nlohmann::ordered_json& extra = saved->state().extra;
  return {saved->state().recipe, extra.value("recipe_path", out + "/recipe"),
          extra.value("sets", std::vector<std::string>{}), saved->state().model_config};
}

}  // namespace nautile::train
