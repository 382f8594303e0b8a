// service_thread.h — ServiceThread: one thread for a loop that mostly waits, such as an engine's
// steps or a disk's writes.
#pragma once

#include <thread>
#include <utility>

namespace nautile {

// Not for computing: that is ThreadPool's, whose run() such a loop may call. Used from one thread.
class ServiceThread {
 public:
  ServiceThread() = default;
  ~ServiceThread() { join(); }
  ServiceThread(const ServiceThread&) = delete;
  ServiceThread& operator=(const ServiceThread&) = delete;

  bool running() const { return thread_.joinable(); }
  // The loop must not throw, and returns when its owner has told it to.
  template <class Loop>
  void start(Loop&& loop) {
    join();
    thread_ = std::thread(std::forward<Loop>(loop));
  }
  // Waits until the loop has returned.
  void join() {
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::thread thread_;
};

}  // namespace nautile
