#include "app/served_models.h"

#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>

#include "app/sha256.h"
#include "engine/batch_engine.h"
#include "server/watched_engine.h"

namespace nautile::app {
namespace {

using Clock = std::chrono::steady_clock;
using server::ModelEntry;

constexpr std::chrono::seconds kIdleCheck{1};

std::time_t file_time(const std::string& path) {
  struct stat facts {};
  return stat(path.c_str(), &facts) == 0 ? facts.st_mtime : 0;
}

engine::SamplingParams sampling_of(const GenerationDefaults& defaults) {
  engine::SamplingParams params;
  params.temperature = defaults.temperature.value_or(params.temperature);
  params.top_p = defaults.top_p.value_or(params.top_p);
  params.top_k = defaults.top_k.value_or(params.top_k);
  params.min_p = defaults.min_p.value_or(params.min_p);
  params.repetition_penalty = defaults.repetition_penalty.value_or(params.repetition_penalty);
  return params;
}

// Names all that a row's numbers depend on besides its tokens.
std::string numbers_fingerprint(const LoadedModel& model, const ModelChoice& choice) {
  return fmt::format("{} {} {} nautile {}", model.fingerprint(), model.backend->describe(),
                     choice.compute_class, NAUTILE_VERSION);
}

}  // namespace

// A model with its engine; whoever holds it keeps it loaded. Members end in reverse order.
struct ServedModels::Loaded {
  LoadedModel model;
  std::unique_ptr<ChatFormat> format;  // null: the model has none
  GrammarVocabulary vocabulary;
  engine::BatchEngineOptions options;
  engine::BatchEngine engine;
  server::WatchedEngine watched;
  std::uint64_t bytes = 0;

  Loaded(LoadedModel loaded, std::unique_ptr<ChatFormat> chat, engine::BatchEngineOptions chosen,
         server::Metrics& metrics, const std::string& name)
      : model(std::move(loaded)),
        format(std::move(chat)),
        vocabulary(model.text().tokenizer),
        options(std::move(chosen)),
        engine(*model.model, *model.backend, model.text().tokenizer, options),
        watched(engine, metrics, name, model.text().defaults.stop_ids) {
    bytes = engine::memory_need(model.config(), model.checkpoint.weight_bytes(), options).total();
    engine.start();
  }
};

struct ServedModels::Entry {
  std::string name, base;
  ModelChoice choice;
  std::time_t created = 0;
  // The rest belongs to the mutex.
  ModelEntry::State state = ModelEntry::State::unloaded;
  std::string error;
  std::exception_ptr failure;
  std::shared_ptr<Loaded> loaded;
  std::shared_ptr<const server::ServedModel> served;  // holds `loaded`, too
  std::vector<std::function<void(Got)>> waiting;
  Clock::time_point used;
  std::uint64_t turned_away = 0;  // requests, by knock()

  // Nobody but the entry itself holds it.
  bool unused() const { return served && served.use_count() == 1; }
};

ServedModels::ServedModels(std::vector<NamedChoice> models, const ServingOptions& options,
                           const Environment& environment, server::Metrics& metrics,
                           server::JsonLog& log)
    : options_(options), environment_(environment), metrics_(metrics), log_(log) {
  NAUTILE_ASSERT(!models.empty(), "a server without models");
  for (NamedChoice& model : models) {
    for (const auto& other : entries_) {
      if (other->name == model.name) {
        throw make_error(ErrorKind::usage, "two models are called '{}'", model.name)
            .hint("--model NAME=PATH gives names");
      }
    }
    auto entry = std::make_unique<Entry>();
    entry->name = std::move(model.name);
    entry->base = std::move(model.base);
    entry->choice = std::move(model.choice);
    // The engine's numbers must not depend on how prompts are cut.
    entry->choice.exact = true;
    entry->created = file_time(entry->choice.path);
    entries_.push_back(std::move(entry));
  }
  worker_ = std::thread([this] { work(); });
}

ServedModels::~ServedModels() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    wake_.notify_all();
  }
  worker_.join();
  for (const auto& entry : entries_) {
    for (auto& then : entry->waiting) then({nullptr, "the server ends", Got::Why::failed});
  }
}

std::vector<ModelEntry> ServedModels::list() const {
  const std::lock_guard lock(mutex_);
  std::vector<ModelEntry> list;
  for (const auto& entry : entries_) {
    const std::int64_t context = entry->served ? entry->served->engine->context() : 0;
    list.push_back({entry->name, entry->state, entry->created, entry->error, context, entry->base});
  }
  return list;
}

void ServedModels::get(std::string_view name, std::function<void(Got)> then) {
  Got got;
  {
    const std::lock_guard lock(mutex_);
    Entry* found = name.empty() ? only_model() : nullptr;
    for (const auto& entry : entries_) {
      if (!name.empty() && entry->name == name) found = entry.get();
    }
    if (found == nullptr) {
      got.why = name.empty() ? Got::Why::ambiguous : Got::Why::missing;
      std::string names;
      for (const auto& entry : entries_) names += (names.empty() ? "" : ", ") + entry->name;
      got.error = name.empty() ? fmt::format("`model` must be one of {}", names)
                               : fmt::format("there is no model '{}'; there are {}", name, names);
    } else if (found->served) {
      found->used = Clock::now();
      got.model = found->served;
    } else if (ending_) {
      got.why = Got::Why::failed;
      got.error = "the server ends";
    } else {
      found->waiting.push_back(std::move(then));
      if (found->state != ModelEntry::State::loading) {
        found->state = ModelEntry::State::loading;
        to_load_.push_back(found);
        wake_.notify_all();
      }
      return;
    }
  }
  then(std::move(got));
}

// Null if there are several.
ServedModels::Entry* ServedModels::only_model() const {
  Entry* only = nullptr;
  for (const auto& entry : entries_) {
    if (!entry->base.empty()) continue;
    if (only != nullptr) return nullptr;
    only = entry.get();
  }
  return only;
}

// Which of several models is asked for is in the body: all of them must be sure.
engine::Admission ServedModels::knock(std::int64_t ahead) {
  using Kind = engine::Admission::Kind;
  const std::lock_guard lock(mutex_);
  engine::Admission soonest{.kind = Kind::draining};
  for (const auto& entry : entries_) {
    if (!entry->loaded) return {};
    const engine::Admission said = entry->loaded->watched.foresee(ahead);
    if (said.kind == Kind::accepted) return said;
    const bool sooner = soonest.kind != Kind::queue_full || said.retry_after < soonest.retry_after;
    if (said.kind == Kind::queue_full && sooner) soonest = said;
  }
  for (const auto& entry : entries_) ++entry->turned_away;
  return soonest;
}

void ServedModels::work() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    if (!to_load_.empty()) {
      Entry* const entry = to_load_.front();
      to_load_.pop_front();
      lock.unlock();
      load(*entry);
      lock.lock();
      continue;
    }
    if (options_.idle_seconds <= 0) {
      wake_.wait(lock);
      continue;
    }
    wake_.wait_for(lock, kIdleCheck);
    lock.unlock();
    unload_idle();
    lock.lock();
  }
}

void ServedModels::load(Entry& entry) {
  std::shared_ptr<Loaded> loaded;
  std::string error;
  std::exception_ptr failure;
  for (;;) {
    try {
      loaded = make(entry);
    } catch (const Error& thrown) {
      if (thrown.kind() == ErrorKind::no_memory && make_room(entry)) continue;
      error = thrown.what();
      failure = std::current_exception();
    } catch (const std::exception& thrown) {
      error = thrown.what();
      failure = std::current_exception();
    }
    break;
  }
  Got got;
  std::vector<std::function<void(Got)>> waiting;
  {
    const std::lock_guard lock(mutex_);
    waiting.swap(entry.waiting);
    entry.used = Clock::now();
    entry.error = error;
    entry.failure = failure;
    entry.state = loaded ? ModelEntry::State::loaded : ModelEntry::State::failed;
    if (loaded) {
      auto served = std::make_shared<server::ServedModel>();
      served->name = entry.name;
      served->created = entry.created;
      served->engine = &loaded->watched;
      served->tokenizer = &loaded->model.text().tokenizer;
      served->format = loaded->format.get();
      if (loaded->format) served->tools = &tool_format_of(loaded->model.text(), *loaded->format);
      served->vocabulary = &loaded->vocabulary;
      served->defaults = sampling_of(loaded->model.text().defaults);
      served->rows = loaded->model.config().vocabulary;
      Sha256 sum;
      sum.add(loaded->options.disk.fingerprint);
      served->fingerprint = "fp_" + sum.hex().substr(0, 10);
      served->keep = loaded;
      if (draining_) loaded->watched.drain();
      entry.loaded = std::move(loaded);
      entry.served = std::move(served);
      got.model = entry.served;
    } else {
      // Paths and sizes are the administrator's business: they are in the log.
      got.why = Got::Why::failed;
      got.error = fmt::format("the model '{}' cannot be loaded", entry.name);
    }
  }
  if (!error.empty()) log_.write("model_failed", {{"model", entry.name}, {"error", error}});
  for (auto& then : waiting) then(got);
}

std::shared_ptr<ServedModels::Loaded> ServedModels::make(const Entry& entry) {
  LoadedModel model = load_model(entry.choice, environment_);
  const ModelConfig& config = model.config();
  engine::BatchEngineOptions options;
  options.context = model.session.context;
  options.kv_format = model.session.kv_format;
  options.kv_tokens = options_.kv_tokens > 0 ? std::max(options_.kv_tokens, options.context)
                                             : std::max(4 * options.context, kDefaultKvTokens);
  options.most_running = options_.parallel;
  options.row_budget = std::max(options.row_budget, options.most_running);
  options.queue = options_.queue;
  options = engine::fit_memory(config, model.checkpoint.weight_bytes(), options, budget());
  options.disk.folder = options_.disk_cache;
  options.disk.bytes = options_.disk_bytes;
  options.disk.fingerprint = numbers_fingerprint(model, entry.choice);
  std::unique_ptr<ChatFormat> format;
  try {
    format = chat_format_of(model.text(), config.family, entry.name, "");
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::unsupported) throw;
    log_.write("model_without_chat", {{"model", entry.name}, {"error", error.what()}});
  }
  const double seconds = model.load_seconds;
  auto loaded = std::make_shared<Loaded>(std::move(model), std::move(format), std::move(options),
                                         metrics_, entry.name);
  log_.write("model_loaded", {{"model", entry.name},
                              {"seconds", std::round(seconds * 1000) / 1000},
                              {"context", loaded->options.context},
                              {"kv_tokens", loaded->options.kv_tokens},
                              {"bytes", loaded->bytes},
                              {"backend", loaded->model.backend->describe()}});
  return loaded;
}

// What a model may take: of the machine's memory, and of what the user allows for all.
std::uint64_t ServedModels::budget() const {
  const std::uint64_t available = engine::available_memory();
  if (options_.max_memory == 0) return available;
  std::uint64_t taken = 0;
  for (const auto& other : loaded()) taken += other->bytes;
  return std::min(available, options_.max_memory - std::min(taken, options_.max_memory));
}

// Unloads the model that has been unused for longest; false if all are in use.
bool ServedModels::make_room(const Entry& wanted) {
  Entry* longest = nullptr;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& entry : entries_) {
      if (entry.get() == &wanted || !entry->unused()) continue;
      if (longest == nullptr || entry->used < longest->used) longest = entry.get();
    }
  }
  if (longest == nullptr) return false;
  unload(*longest, "for another");
  return true;
}

void ServedModels::unload(Entry& entry, const char* why) {
  std::shared_ptr<Loaded> loaded;
  {
    const std::lock_guard lock(mutex_);
    // It may have been asked for since it was chosen.
    if (!entry.unused()) return;
    loaded = std::move(entry.loaded);
    entry.served.reset();
    entry.state = ModelEntry::State::unloaded;
  }
  log_.write("model_unloaded", {{"model", entry.name}, {"why", why}});
}

void ServedModels::unload_idle() {
  const auto limit = Clock::now() - std::chrono::duration_cast<Clock::duration>(
                                        std::chrono::duration<double>(options_.idle_seconds));
  for (const auto& entry : entries_) {
    bool due = false;
    {
      const std::lock_guard lock(mutex_);
      // Whoever used it may have let go only now.
      if (entry->served && !entry->unused()) entry->used = Clock::now();
      due = entry->unused() && entry->used < limit;
    }
    if (due) unload(*entry, "idle");
  }
}

std::vector<std::shared_ptr<ServedModels::Loaded>> ServedModels::loaded() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<Loaded>> all;
  for (const auto& entry : entries_) {
    if (entry->loaded) all.push_back(entry->loaded);
  }
  return all;
}

void ServedModels::rethrow_failure(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  for (const auto& entry : entries_) {
    if (entry->name == name && entry->failure) std::rethrow_exception(entry->failure);
  }
}

void ServedModels::drain() {
  {
    const std::lock_guard lock(mutex_);
    draining_ = true;
  }
  for (const auto& model : loaded()) model->watched.drain();
}

void ServedModels::fail_all(const std::string& why) {
  for (const auto& model : loaded()) model->watched.fail_all(why);
}

void ServedModels::append_metrics(std::string& text) const {
  std::vector<server::NamedCounts> counts;
  std::vector<server::MetricValue> states;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& entry : entries_) {
      states.push_back({{{"model", entry->name}}, entry->loaded ? 1.0 : 0.0});
      if (!entry->loaded) continue;
      counts.push_back({entry->name, entry->loaded->watched.counts()});
      counts.back().counts.refused += entry->turned_away;
    }
  }
  server::append_metric(text, "nautile_model_loaded", server::MetricType::gauge,
                        "Whether the model is in memory.", states);
  server::append_engine_metrics(text, counts);
}

}  // namespace nautile::app
