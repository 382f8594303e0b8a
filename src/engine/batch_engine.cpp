#include "engine/batch_engine.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/service_thread.h"
#include "engine/batcher.h"

namespace nautile::engine {

// What other threads touch is under `mutex`; the batcher is the stepping thread's.
struct BatchEngine::Impl {
  struct Incoming {
    RequestId id;
    Request request;
    EventSink sink;
    Clock::time_point submitted;
    std::int64_t choices;
  };

  Batcher batcher;
  const std::int64_t room;
  const std::int64_t most_choices;  // that may be in flight

  mutable std::mutex mutex;
  std::condition_variable work;
  std::vector<Incoming> inbox;
  std::vector<RequestId> cancels;
  bool draining = false, stopping = false;
  RequestId last_id = 0;
  std::int64_t in_flight = 0, incoming_choices = 0;
  std::int64_t ended = 0;  // choices, as last heard
  double ends_per_second = 0;
  std::uint64_t refused = 0;
  EngineCounts shown;
  ServiceThread thread;

  Impl(const Model& model, Backend& backend, const Tokenizer& tokenizer,
       const BatchEngineOptions& options)
      : batcher(model, backend, tokenizer, options),
        room(batcher.room()),
        most_choices(std::min(options.most_running, options.row_budget) + options.queue),
        shown(batcher.counts()) {}

  // Whether so many choices fit beside `others`, which are in flight or will be. Under the mutex.
  Admission admission(std::int64_t others, std::int64_t choices) const {
    Admission admission{.room = room};
    if (draining) {
      admission.kind = Admission::Kind::draining;
    } else if (others + choices > most_choices && others > 0) {
      admission.kind = Admission::Kind::queue_full;
      // When as many have ended as would have to, at the pace of the last ten seconds.
      const auto excess = static_cast<double>(others + choices - most_choices);
      admission.retry_after = std::clamp(excess / std::max(ends_per_second, 0.1), 1.0, 60.0);
    }
    return admission;
  }

  // Takes in what came since.
  void receive() {
    std::vector<Incoming> requests;
    std::vector<RequestId> gone;
    {
      const std::lock_guard lock(mutex);
      requests.swap(inbox);
      gone.swap(cancels);
      incoming_choices = 0;
    }
    for (Incoming& one : requests)
      batcher.add(one.id, std::move(one.request), one.sink, one.submitted);
    for (const RequestId id : gone) batcher.cancel(id);
  }

  void publish() {
    const EngineCounts counts = batcher.counts();
    const double rate = batcher.ends_per_second();
    const std::lock_guard lock(mutex);
    shown = counts;
    in_flight -= batcher.ended_choices() - std::exchange(ended, batcher.ended_choices());
    ends_per_second = rate;
  }

  bool step() {
    receive();
    publish();
    bool worked = false;
    try {
      worked = batcher.step();
    } catch (const std::exception& error) {
      // Not of one request: planning ran out of memory.
      batcher.fail_all(error.what());
    }
    publish();
    return worked;
  }

  void loop() {
    for (;;) {
      const bool worked = step();
      std::unique_lock lock(mutex);
      if (!worked)
        work.wait(lock, [this] { return stopping || !inbox.empty() || !cancels.empty(); });
      if (stopping) return;
    }
  }
};

BatchEngine::BatchEngine(const Model& model, Backend& backend, const Tokenizer& tokenizer,
                         const BatchEngineOptions& options)
    : impl_(std::make_unique<Impl>(model, backend, tokenizer, options)) {}

BatchEngine::~BatchEngine() {
  stop();
  drain();
  impl_->receive();
  impl_->batcher.cancel_all();
}

void BatchEngine::start() {
  NAUTILE_ASSERT(!impl_->thread.running(), "the engine has started already");
  impl_->stopping = false;
  impl_->thread.start([this] { impl_->loop(); });
}

void BatchEngine::stop() {
  if (!impl_->thread.running()) return;
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->work.notify_all();
  impl_->thread.join();
}

bool BatchEngine::step() {
  return impl_->step();
}

Admission BatchEngine::submit(Request request, EventSink sink) {
  const Clock::time_point now = Clock::now();
  Impl& impl = *impl_;
  const std::int64_t choices =
      request.task == Task::embed ? 1 : std::max<std::int64_t>(request.choices, 1);
  const bool speaks = request.task == Task::generate && !request.generate_nothing;
  Admission admission;
  {
    const std::lock_guard lock(impl.mutex);
    admission = impl.admission(impl.in_flight, choices);
    if (admission.kind != Admission::Kind::draining &&
        static_cast<std::int64_t>(request.prompt.size()) + (speaks ? 1 : 0) > impl.room) {
      admission.kind = Admission::Kind::too_long;
    }
    if (admission.kind != Admission::Kind::accepted) {
      ++impl.refused;
      return admission;
    }
    admission.id = ++impl.last_id;
    impl.in_flight += choices;
    impl.incoming_choices += choices;
    impl.inbox.push_back({admission.id, std::move(request), std::move(sink), now, choices});
  }
  impl.work.notify_all();
  return admission;
}

Admission BatchEngine::foresee(std::int64_t ahead) const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->admission(impl_->in_flight + ahead, 1);
}

void BatchEngine::cancel(RequestId id) {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->cancels.push_back(id);
  }
  impl_->work.notify_all();
}

void BatchEngine::drain() {
  const std::lock_guard lock(impl_->mutex);
  impl_->draining = true;
}

EngineCounts BatchEngine::counts() const {
  const std::lock_guard lock(impl_->mutex);
  EngineCounts counts = impl_->shown;
  counts.waiting += impl_->incoming_choices;
  counts.refused = impl_->refused;
  return counts;
}

std::int64_t BatchEngine::context() const {
  return impl_->room;
}

}  // namespace nautile::engine
