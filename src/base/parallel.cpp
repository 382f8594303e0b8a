#include "base/parallel.h"

#include <immintrin.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "base/error.h"

namespace nautile {
namespace {

// Long enough to bridge the serial stretch between two operations of a decode step, short enough
// not to burn a core while the user types.
constexpr std::chrono::microseconds kSpin{200};

// Waits until the value differs from `old`: spins, then sleeps in the kernel.
std::uint32_t wait_for_change(const std::atomic<std::uint32_t>& value, std::uint32_t old) {
  const auto deadline = std::chrono::steady_clock::now() + kSpin;
  for (;;) {
    for (int i = 0; i < 64; ++i) {
      const std::uint32_t now = value.load(std::memory_order_acquire);
      if (now != old) return now;
      _mm_pause();
    }
    if (std::chrono::steady_clock::now() >= deadline) break;
  }
  value.wait(old, std::memory_order_acquire);
  return value.load(std::memory_order_acquire);
}

}  // namespace

struct ThreadPool::Shared {
  std::atomic<std::uint32_t> generation{0};  // bumped to start a run
  std::atomic<std::uint32_t> pending{0};     // workers that have not finished the run
  std::atomic<bool> stop{false};
  Function function = nullptr;
  void* context = nullptr;
  std::mutex error_mutex;
  std::exception_ptr error;
  std::vector<std::thread> workers;

  void call(int thread) {
    try {
      function(context, thread);
    } catch (...) {
      std::lock_guard lock(error_mutex);
      if (!error) error = std::current_exception();
    }
  }

  void work(int thread) {
    std::uint32_t seen = 0;
    for (;;) {
      seen = wait_for_change(generation, seen);
      if (stop.load(std::memory_order_relaxed)) return;
      call(thread);
      if (pending.fetch_sub(1, std::memory_order_acq_rel) == 1) pending.notify_one();
    }
  }
};

ThreadPool::ThreadPool(int threads) : threads_(threads), shared_(std::make_unique<Shared>()) {
  NAUTILE_ASSERT(threads >= 1, "{} threads", threads);
  for (int i = 1; i < threads; ++i) {
    shared_->workers.emplace_back([shared = shared_.get(), i] { shared->work(i); });
  }
}

ThreadPool::~ThreadPool() {
  shared_->stop.store(true, std::memory_order_relaxed);
  shared_->generation.fetch_add(1, std::memory_order_release);
  shared_->generation.notify_all();
  for (std::thread& worker : shared_->workers) worker.join();
}

void ThreadPool::run_erased(Function function, void* context) {
  Shared& shared = *shared_;
  shared.function = function;
  shared.context = context;
  if (threads_ > 1) {
    shared.pending.store(static_cast<std::uint32_t>(threads_ - 1), std::memory_order_relaxed);
    shared.generation.fetch_add(1, std::memory_order_release);
    shared.generation.notify_all();
  }
  shared.call(0);
  for (std::uint32_t left = shared.pending.load(std::memory_order_acquire); left != 0;) {
    left = wait_for_change(shared.pending, left);
  }
  if (shared.error) std::rethrow_exception(std::exchange(shared.error, nullptr));
}

int available_cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

}  // namespace nautile
