#include "server/watched_engine.h"

#include <atomic>
#include <chrono>
#include <map>
#include <mutex>

namespace nautile::server {
namespace {

using Clock = std::chrono::steady_clock;
using engine::Event;

double seconds(Clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

struct WatchedEngine::Watches {
  std::mutex mutex;
  std::map<std::uint64_t, std::weak_ptr<Watch>> all;
  std::uint64_t next = 0;
};

// One request. The inner engine's sink owns it, so it goes when the request has ended.
struct WatchedEngine::Watch {
  ~Watch() {
    const std::lock_guard lock(watches->mutex);
    watches->all.erase(number);
  }

  std::shared_ptr<Watches> watches;
  std::uint64_t number = 0;
  engine::EventSink sink;
  Clock::time_point begun = Clock::now();
  bool first_seen = false;
  bool only_end_ids = false;            // all stop ids of the request are the model's
  std::vector<Clock::time_point> last;  // of each choice: when it last said something

  std::mutex mutex;  // one event at a time
  // Each is written before the other is read, so that one side or the other cancels.
  std::atomic<bool> dead{false};
  std::atomic<engine::RequestId> id{0};
};

WatchedEngine::WatchedEngine(engine::Engine& inner, Metrics& metrics, std::string model,
                             std::vector<TokenId> end_ids)
    : inner_(inner),
      metrics_(metrics),
      labels_({{"model", std::move(model)}}),
      end_ids_(std::move(end_ids)),
      watches_(std::make_shared<Watches>()) {}

WatchedEngine::~WatchedEngine() {
  for (const auto& watch : watches()) {
    {
      // A piece on its way is passed first.
      const std::lock_guard lock(watch->mutex);
      if (watch->dead.exchange(true)) continue;
    }
    if (const engine::RequestId id = watch->id; id != 0) inner_.cancel(id);
  }
}

std::vector<std::shared_ptr<WatchedEngine::Watch>> WatchedEngine::watches() const {
  std::vector<std::shared_ptr<Watch>> found;
  const std::lock_guard lock(watches_->mutex);
  for (const auto& [number, weak] : watches_->all) {
    if (auto watch = weak.lock()) found.push_back(std::move(watch));
  }
  return found;
}

void WatchedEngine::pass(Watch& watch, const Event& event) {
  const std::lock_guard lock(watch.mutex);
  if (watch.dead) return;
  const Clock::time_point now = Clock::now();
  if (event.kind == Event::Kind::started) {
    metrics_.observe("nautile_queue_seconds", "From a request's arrival to its first batch.",
                     labels_, event.usage.queued_seconds);
  } else if (event.kind == Event::Kind::piece) {
    auto& last = watch.last[static_cast<std::size_t>(event.choice)];
    if (!watch.first_seen) {
      watch.first_seen = true;
      metrics_.observe("nautile_time_to_first_token_seconds",
                       "From a request's arrival at the engine to its first text.", labels_,
                       seconds(now - watch.begun));
    } else if (last != Clock::time_point()) {
      metrics_.observe("nautile_inter_token_seconds", "Between two pieces of one answer.", labels_,
                       seconds(now - last));
    }
    last = now;
  } else if (event.finish == engine::Finish::stop && event.stop.empty() && watch.only_end_ids) {
    Event ended = event;
    ended.finish = engine::Finish::end;
    watch.sink(ended);
    return;
  }
  watch.sink(event);
}

engine::Admission WatchedEngine::submit(engine::Request request, engine::EventSink sink) {
  const auto watch = std::make_shared<Watch>();
  watch->watches = watches_;
  watch->sink = std::move(sink);
  if (request.end_token == engine::EndToken::ends) {
    watch->only_end_ids = request.stop_ids.empty();
    request.stop_ids.insert(request.stop_ids.end(), end_ids_.begin(), end_ids_.end());
  }
  watch->last.resize(static_cast<std::size_t>(request.choices));
  {
    const std::lock_guard lock(watches_->mutex);
    watch->number = watches_->next++;
    watches_->all.emplace(watch->number, watch);
  }
  const engine::Admission admission =
      inner_.submit(std::move(request), [this, watch](const Event& event) { pass(*watch, event); });
  watch->id = admission.id;
  // It was ended while it was being admitted.
  if (watch->dead && admission.kind == engine::Admission::Kind::accepted)
    inner_.cancel(admission.id);
  return admission;
}

void WatchedEngine::fail_all(const std::string& why) {
  inner_.drain();
  Event event;
  event.kind = Event::Kind::failed;
  event.finish = engine::Finish::failed;
  event.error = why;
  for (const auto& watch : watches()) {
    {
      const std::lock_guard lock(watch->mutex);
      if (watch->dead.exchange(true)) continue;
      watch->sink(event);
    }
    if (const engine::RequestId id = watch->id; id != 0) inner_.cancel(id);
  }
}

}  // namespace nautile::server
