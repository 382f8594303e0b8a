// background.h — Background: one thread for input and output, beside the threads that compute.
#pragma once

#include <future>
#include <utility>

namespace nautile {

// Runs one job at a time; a job's exception comes back at the next call. Not for computing: that is
// ThreadPool's. Used from one thread.
class Background {
 public:
  Background() = default;
  // Waits; an exception is lost.
  ~Background() {
    if (pending_.valid()) pending_.wait();
  }
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  // Waits for the job in flight and throws what it threw, then starts this one.
  template <class Job>
  void start(Job&& job) {
    wait();
    pending_ = std::async(std::launch::async, std::forward<Job>(job));
  }
  void wait() {
    if (pending_.valid()) pending_.get();
  }

 private:
  std::future<void> pending_;
};

}  // namespace nautile
