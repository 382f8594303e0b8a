// engine.h — Engine: what takes requests and answers them, whoever computes the answers.
#pragma once

#include <cstdint>
#include <functional>

#include "engine/request.h"

namespace nautile::engine {

using RequestId = std::uint64_t;
using EventSink = std::function<void(const Event&)>;

// What submit() comes to. An engine refuses rather than to grow without bound.
struct Admission {
  enum class Kind : std::uint8_t {
    accepted,
    queue_full,  // try again later
    too_long,    // the prompt and one token exceed `room`
    draining,    // the engine takes no more
  } kind = Kind::accepted;
  RequestId id = 0;
  std::int64_t room = 0;   // tokens that a request may have in all
  double retry_after = 0;  // seconds, a guess: queue_full
};

// What an engine is doing now, and has done since it began.
struct EngineCounts {
  std::int64_t waiting = 0, running = 0;                     // choices
  std::int64_t pages = 0, pages_used = 0, pages_cached = 0;  // of the cache; cached: no request's
  std::uint64_t requests = 0, finished = 0, cancelled = 0, failed = 0, refused = 0, preempted = 0;
  std::uint64_t prompt_tokens = 0, cached_tokens = 0, completion_tokens = 0;
  std::uint64_t disk_hits = 0, disk_bytes = 0;  // pages read back from the cache on disk; its size
  std::uint64_t steps = 0, rows = 0, most_rows = 0;  // batches, their rows, the rows of the largest
  std::uint64_t decode_rows = 0, most_decode_rows = 0;  // rows that decoded; the most in one batch
  double busy_seconds = 0;
  double tokens_per_second = 0;  // completion tokens over the last ten seconds
};

// Safe for concurrent use.
class Engine {
 public:
  virtual ~Engine() = default;

  // Never waits. `sink` is called from the engine's own thread, must not block and must not throw;
  // after `finished` of all choices or `failed` it is dropped.
  virtual Admission submit(Request request, EventSink sink) = 0;
  // What submit() would say of a short request of one choice if `ahead` more choices came before
  // it: enough to turn a client away before its request is read. Never waits.
  virtual Admission foresee(std::int64_t ahead) const = 0;
  // The request's choices that run end with Finish::cancelled before the next step, and their pages
  // are free; nothing happens if it has ended.
  virtual void cancel(RequestId id) = 0;
  // Takes no more requests; those it has go on.
  virtual void drain() = 0;
  virtual EngineCounts counts() const = 0;
  virtual std::int64_t context() const = 0;  // tokens of one sequence
};

}  // namespace nautile::engine
