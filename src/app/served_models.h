// served_models.h — ServedModels: the models of a server, each with its engine, loaded when asked
// for.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "app/loaded_model.h"
#include "server/json_log.h"
#include "server/metrics.h"
#include "server/models.h"
#include "server/ops_endpoints.h"

namespace nautile::app {

struct NamedChoice {
  std::string name;
  ModelChoice choice;
  std::string base = {};  // of an adapter: the name of its model
};

// Of each engine; 0 means the default.
struct ServingOptions {
  std::int64_t kv_tokens = 0;  // else four contexts or kDefaultKvTokens, and what memory leaves
  std::int64_t parallel = 64;  // choices that are computed at once
  std::int64_t queue = 256;    // choices that wait besides
  std::string disk_cache;      // folder of cached prefixes; empty: none
  std::uint64_t disk_bytes = 0;
  std::uint64_t max_memory = 0;  // bytes of all models; else what the machine has available
  double idle_seconds = 0;       // unused for so long, a model is unloaded; 0: never
};
inline constexpr std::int64_t kDefaultKvTokens = 65536;

// One thread loads and unloads, so that nobody else waits for it. Where a model does not fit
// beside the others, those that nobody uses go first, the longest unused before all. Safe for
// concurrent use.
class ServedModels : public server::Models {
 public:
  // At least one model; throws Error(usage) for a name that is there twice. The rest outlives it.
  ServedModels(std::vector<NamedChoice> models, const ServingOptions& options,
               const Environment& environment, server::Metrics& metrics, server::JsonLog& log);
  // Models in use must have been let go of. Whoever still waits for one gets `failed`.
  ~ServedModels() override;

  std::vector<server::ModelEntry> list() const override;
  void get(std::string_view name, std::function<void(Got)> then) override;
  engine::Admission knock(std::int64_t ahead) override;

  // Throws what loading that model failed with, if it has.
  void rethrow_failure(std::string_view name) const;

  // The engine of every loaded model takes no more.
  void drain();
  // Ends every request with an error event that says `why`.
  void fail_all(const std::string& why);
  void append_metrics(std::string& text) const;

 private:
  struct Loaded;
  struct Entry;

  void work();
  Entry* only_model() const;
  void load(Entry& entry);
  std::shared_ptr<Loaded> make(const Entry& entry);
  bool make_room(const Entry& wanted);
  void unload(Entry& entry, const char* why);
  void unload_idle();
  std::uint64_t budget() const;
  std::vector<std::shared_ptr<Loaded>> loaded() const;

  const ServingOptions options_;
  const Environment& environment_;
  server::Metrics& metrics_;
  server::JsonLog& log_;

  mutable std::mutex mutex_;  // of what follows
  std::condition_variable wake_;
  std::vector<std::unique_ptr<Entry>> entries_;
  std::deque<Entry*> to_load_;
  bool ending_ = false, draining_ = false;
  std::thread worker_;
};

}  // namespace nautile::app
