// parallel.h — ThreadPool: the only thing that starts compute threads.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

namespace nautile {

// Runs a function on all of its threads at once; the caller is thread 0. Work is cut by a fixed
// partition, so what a thread computes depends on the sizes alone. Workers spin for a moment
// between runs, then sleep. One run at a time; the pool is not re-entrant.
class ThreadPool {
 public:
  // threads >= 1; threads - 1 workers are started.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return threads_; }

  // body(thread) once on each thread; returns when all are done. The first exception is rethrown.
  template <class Body>
  void run(Body&& body) {
    using Plain = std::remove_reference_t<Body>;
    run_erased([](void* context, int thread) { (*static_cast<Plain*>(context))(thread); },
               const_cast<void*>(static_cast<const void*>(&body)));
  }

  // body(begin, end, thread) over [0, count) in contiguous shares of near-equal size. `grain` is
  // the smallest share worth a thread of its own.
  template <class Body>
  void parallel_for(std::int64_t count, std::int64_t grain, Body&& body) {
    if (count <= 0) return;
    const std::int64_t worth = grain > 0 ? (count + grain - 1) / grain : count;
    const std::int64_t shares = worth < threads_ ? worth : threads_;
    if (shares <= 1) {
      body(std::int64_t{0}, count, 0);
      return;
    }
    run([&](int thread) {
      if (thread >= shares) return;
      const std::int64_t begin = count * thread / shares, end = count * (thread + 1) / shares;
      if (begin < end) body(begin, end, thread);
    });
  }

 private:
  using Function = void (*)(void* context, int thread);
  void run_erased(Function function, void* context);

  struct Shared;
  int threads_;
  std::unique_ptr<Shared> shared_;
};

// Cores this process may run on (its affinity mask), at least 1.
int available_cores();

}  // namespace nautile
