#include "train/run.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/file.h"
#include "train/snapshot.h"

namespace nautile::train {
namespace {

using Json = nlohmann::ordered_json;

// A fading sum's share that stays from step to step: about the last twenty steps count.
constexpr double kFade = 0.95;

}  // namespace

void TrainingRun::say(const std::string& text) const {
  if (comm_.is_root() && hooks_.notice) hooks_.notice(text);
}

void TrainingRun::note(const char* event, std::int64_t step, const std::string& text) {
  if (!comm_.is_root()) return;
  const std::chrono::duration<double> now = std::chrono::system_clock::now().time_since_epoch();
  const Json line = {{"step", step},
                     {"event", event},
                     {"text", text},
                     {"time", now.count()},
                     {"program_version", options_.program_version}};
  LogFile(folder_->file("events.jsonl"))
      .append(line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

bool TrainingRun::due(std::int64_t every) const {
  return every > 0 && (trainer_->step_count() % every == 0 || finished());
}

bool TrainingRun::out_of_patience() const {
  return recipe_.patience > 0 && best_.stale >= recipe_.patience;
}

std::optional<std::int64_t> TrainingRun::best_step() const {
  return best_.step > 0 ? std::optional(best_.step) : std::nullopt;
}

bool TrainingRun::finished() const {
  return out_of_patience() || trainer_->tokens_seen() >= recipe_.tokens ||
         (recipe_.steps > 0 && trainer_->step_count() >= recipe_.steps);
}

RunEnd TrainingRun::go() {
  RunEnd end = RunEnd::finished;
  while (!finished()) {
    step();
    if (const auto asked = asked_to_end(); asked && !finished()) {
      end = *asked;
      break;
    }
  }
  if (out_of_patience()) {
    say(fmt::format("{} evaluations in a row were no better than that of step {}: {:.4f} nats",
                    best_.stale, best_.step, best_.score));
  }
  if (saved_step_ != trainer_->step_count()) save();
  folder_->wait();
  const char* how = end == RunEnd::finished ? "finished" : "stopped";
  note(how, trainer_->step_count(), fmt::format("{} after step {}", how, trainer_->step_count()));
  return end;
}

// What one rank is asked, all do.
std::optional<RunEnd> TrainingRun::asked_to_end() {
  struct Asked {
    bool stop, late;
  };
  const std::chrono::duration<double> spent = Clock::now() - start_;
  const bool late = recipe_.max_minutes > 0 && spent.count() > 60 * recipe_.max_minutes;
  std::optional<RunEnd> end;
  for (const Asked& asked : comm_.all_gather(Asked{hooks_.stop(), late})) {
    if (asked.stop) return RunEnd::stopped;
    if (asked.late) end = RunEnd::out_of_time;
  }
  return end;
}

void TrainingRun::step() {
  const auto start = Clock::now();
  StepRecord record;
  record.first_slot = next_slot_;
  record.slots = recipe_.slots_at(trainer_->tokens_seen());
  const SlotRange share = trainer_->layout().share(record.slots);
  std::vector<TokenBatch> slots;
  for (std::int64_t i = share.begin; i < share.end; ++i)
    slots.push_back(data_->slot(next_slot_ + i));
  record.report = trainer_->gradients_of(slots, record.slots);
  if (watch_.leaps(record.report.loss) || !std::isfinite(record.report.grad_norm))
    return on_bad_step(record.report, record.slots);
  trainer_->apply(record.report);
  watch_.add(record.report.loss);
  next_slot_ += record.slots;
  measure(record, slots, std::chrono::duration<double>(Clock::now() - start).count());
  after_step(record);
}

void TrainingRun::measure(StepRecord& record, std::span<const TokenBatch> slots, double seconds) {
  const bool mtp = recipe_.model.mtp_layers > 0 && record.report.rates.mtp_lambda > 0;
  double flops = 0;
  for (const TokenBatch& slot : slots)
    flops += flops_.of(slot, mtp ? TrainingFlops::Mtp::on : TrainingFlops::Mtp::off);
  const std::vector<double> ranks = comm_.all_gather(flops);
  flops = std::accumulate(ranks.begin(), ranks.end(), 0.0);
  const auto tokens = static_cast<double>(record.report.sums.tokens);
  record.seconds = seconds;
  record.tokens_per_second = tokens / seconds;
  record.flops_per_second = flops / seconds;
  if (options_.peak_flops > 0) record.mfu = record.flops_per_second / options_.peak_flops;
  recent_seconds_ = kFade * recent_seconds_ + seconds;
  recent_tokens_ = kFade * recent_tokens_ + tokens;
  recent_steps_ = kFade * recent_steps_ + 1;
}

double TrainingRun::seconds_left() const {
  double left = (recipe_.tokens - trainer_->tokens_seen()) * recent_seconds_ / recent_tokens_;
  if (recipe_.steps > 0) {
    const auto steps = static_cast<double>(recipe_.steps - trainer_->step_count());
    left = std::min(left, steps * recent_seconds_ / recent_steps_);
  }
  return std::max(0.0, left);
}

// Reading held-out text and writing samples change nothing that training depends on.
void TrainingRun::after_step(StepRecord& record) {
  bool better = false;
  if (due(recipe_.eval_every) && !data_->held_out().empty()) {
    record.scores = scores_ = evaluate(*trainer_, data_->held_out());
    better = note_score();
  }
  if (due(recipe_.loads_every)) record.loads = StepRecord::Loads::write;
  if (metrics_) metrics_->add(record);
  std::optional<double> bits;
  if (!scores_.empty() && scores_.back().bytes > 0) bits = scores_.back().bits_per_byte();
  if (comm_.is_root() && hooks_.step) hooks_.step({record, bits, seconds_left()});
  if (due(recipe_.samples.every)) write_samples();
  if (due(recipe_.checkpoint_every) || (better && recipe_.keep_best == Recipe::KeepBest::yes))
    save();
}

bool TrainingRun::note_score() {
  const double score = scores_.back().nats_per_token();
  if (best_.step > 0 && !(score < best_.score)) {
    ++best_.stale;
    return false;
  }
  best_ = {trainer_->step_count(), score, 0};
  return true;
}

void TrainingRun::write_samples() {
  if (!hooks_.sample || recipe_.samples.prompts.empty()) return;
  if (!comm_.is_root() && !trainer_->experts()) return;
  std::optional<LogFile> file;
  if (comm_.is_root()) file.emplace(folder_->file("samples.jsonl"));
  std::uint64_t number = 0;
  for (const std::string& prompt : recipe_.samples.prompts) {
    const Json line = {{"step", trainer_->step_count()},
                       {"prompt", prompt},
                       {"text", hooks_.sample(*trainer_, prompt, number++)}};
    if (file) file->append(line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  }
}

void TrainingRun::save() {
  RunState state;
  state.next_slot = next_slot_;
  state.model_seed = recipe_.model_seed;
  state.data_seed = recipe_.data.options.seed;
  state.program_version = options_.program_version;
  state.recipe = options_.recipe_text;
  state.model_config = recipe_.hf_config.dump(2);
  state.extra = {{"recipe_path", recipe_.path},
                 {"sets", options_.sets},
                 {"data", checksum_text(data_->folder().identity())},
                 {"loss_mean", watch_.mean()},
                 {"loss_seen", watch_.seen()},
                 {"skips", skips_},
                 {"best", {{"step", best_.step}, {"score", best_.score}, {"stale", best_.stale}}}};
  if (comm_.is_root()) {
    if (recipe_.keep_best == Recipe::KeepBest::yes) folder_->keep(best_.step);
    folder_->save(*trainer_, std::move(state));
  } else {
    Snapshot(*trainer_, std::move(state));  // gives the first rank what this one has
  }
  saved_step_ = trainer_->step_count();
}

void TrainingRun::set_watches(const RunState& state) {
  watch_.set(state.extra.value("loss_mean", 0.0), state.extra.value("loss_seen", std::int64_t{0}));
  const Json best = state.extra.value("best", Json::object());
  best_ = {best.value("step", std::int64_t{0}), best.value("score", 0.0),
           best.value("stale", std::int64_t{0})};
}

// Which slot is to blame: each is read once more by itself. The documents go to a file.
std::string TrainingRun::describe_bad_step(const StepReport& report, std::int64_t count) {
  std::vector<TokenBatch> slots;
  for (std::int64_t i = 0; i < count; ++i) slots.push_back(data_->slot(next_slot_ + i));
  const std::vector<LossSums> losses = trainer_->evaluate_each(slots);
  Json file = {{"step", report.step},
               {"grad_norm", fmt::format("{}", report.grad_norm)},
               {"slots", Json::array()}};
  std::size_t worst = 0;
  double most = -1;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const LossSums& sums = losses[i];
    const double loss = sums.weight > 0 ? sums.main / sums.weight : 0;
    const double rank = std::isfinite(loss) ? loss : std::numeric_limits<double>::infinity();
    if (rank > most) {
      most = rank;
      worst = i;
    }
    Json slot = {{"slot", next_slot_ + static_cast<std::int64_t>(i)},
                 {"loss", fmt::format("{}", loss)},
                 {"documents", Json::array()}};
    for (const DocumentText& document : data_->documents(slots[i]))
      slot["documents"].push_back({{"tokens", document.tokens}, {"text", document.text}});
    file["slots"].push_back(std::move(slot));
  }
  const std::string path = folder_->file(fmt::format("bad-step-{:08}.json", report.step));
  if (comm_.is_root())
    write_file_atomic(path, file.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
  return fmt::format(
      "step {}: loss {} after a mean of {:.4g}, gradient norm {}; of slots {} to {} slot {} is the "
      "worst (loss {}); their documents are in {}",
      report.step, report.loss, watch_.mean(), report.grad_norm, next_slot_, next_slot_ + count - 1,
      next_slot_ + static_cast<std::int64_t>(worst), most, path);
}

void TrainingRun::on_bad_step(const StepReport& report, std::int64_t slots) {
  const std::string story = describe_bad_step(report, slots);
  folder_->wait();
  note("spike", report.step, story);
  if (recipe_.on_spike == OnSpike::stop) {
    throw make_error(ErrorKind::failure, "{}", story)
        .hint(
            "checkpoints before it are in {}; `--resume --set train.on_spike=skip` goes back to "
            "the last and leaves these batches out, train.spike_factor says what counts",
            folder_->path());
  }
  if (skips_ >= recipe_.max_skips) {
    throw make_error(ErrorKind::failure, "{}", story)
        .hint("{} times batches were left out already (train.max_skips)", skips_);
  }
  say(story);
  roll_back(next_slot_ + slots);
}

// As PaLM was trained (Chowdhery et al. 2022, §5.1): from an earlier checkpoint, without the
// batches from there to the spike.
void TrainingRun::roll_back(std::int64_t next_slot) {
  const auto saved = newest_valid();
  NAUTILE_CHECK(saved, "{} has no checkpoint to go back to", folder_->path());
  saved->load_into(*trainer_);
  set_watches(saved->state());
  saved_step_ = saved->state().step;
  const std::string story = fmt::format("going back to step {}; slots {} to {} are left out",
                                        saved_step_, saved->state().next_slot, next_slot - 1);
  note("skipped", saved_step_, story);
  say(story);
  next_slot_ = next_slot;
  ++skips_;
  if (!comm_.is_root()) return;
  keep_steps(folder_->file("samples.jsonl"), trainer_->step_count());
  metrics_ =
      std::make_unique<MetricsLog>(folder_->path(), trainer_->step_count(), recipe_.event_files);
}

}  // namespace nautile::train
