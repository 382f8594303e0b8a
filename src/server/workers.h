// workers.h — Workers: threads for what takes too long for the threads of sockets and engines.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace nautile::server {

class Workers {
 public:
  // Jobs must not throw. At most `waiting` wait. Without threads whoever posts a job runs it, and
  // what it posts after it, before it goes on; then only one thread may post.
  Workers(int threads, std::size_t waiting);
  ~Workers() { stop(); }
  // Drops what waits, waits for what runs, and lets nothing in any more.
  void stop();

  enum class Posted { yes, full };
  // Never waits.
  Posted post(std::function<void()> job);
  // The same for what has been let in already: it is not counted.
  void post_always(std::function<void()> job);

 private:
  void run();
  void run_here();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  std::size_t waiting_;
  bool stopping_ = false;
  bool running_here_ = false;
  const bool threadless_;
  std::vector<std::thread> threads_;
};

}  // namespace nautile::server
