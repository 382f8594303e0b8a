// workers.cpp — a bounded queue and its threads.
#include "server/workers.h"

#include <utility>

namespace nautile::server {

Workers::Workers(int threads, std::size_t waiting) : waiting_(waiting), threadless_(threads == 0) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
}

void Workers::stop() {
  std::deque<std::function<void()>> dropped;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    dropped = std::move(jobs_);
    jobs_.clear();
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

Workers::Posted Workers::post(std::function<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || jobs_.size() >= waiting_) return Posted::full;
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
  if (threadless_) run_here();
  return Posted::yes;
}

void Workers::post_always(std::function<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    jobs_.push_back(std::move(job));
  }
  wake_.notify_one();
  if (threadless_) run_here();
}

// Jobs that post others find this at work already: a job is never begun inside of another.
void Workers::run_here() {
  if (std::exchange(running_here_, true)) return;
  while (!jobs_.empty()) {
    const auto job = std::move(jobs_.front());
    jobs_.pop_front();
    job();
  }
  running_here_ = false;
}

void Workers::run() {
  while (true) {
    std::function<void()> job;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return stopping_ || !jobs_.empty(); });
      if (stopping_) return;
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job();
  }
}

}  // namespace nautile::server
