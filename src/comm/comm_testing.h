// comm_testing.h — ThreadRanks: ranks that are threads of one process, for tests.
#pragma once

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "base/error.h"
#include "comm/comm.h"

namespace nautile {

// What the threads have sent and nobody has received yet.
class ThreadMail {
 public:
  void put(int from, int to, std::span<const std::byte> bytes) {
    const std::lock_guard lock(mutex_);
    mail_[{from, to}].emplace_back(bytes.begin(), bytes.end());
    arrived_.notify_all();
  }
  std::vector<std::byte> take(int from, int to) {
    std::unique_lock lock(mutex_);
    std::deque<std::vector<std::byte>>& queue = mail_[{from, to}];
    arrived_.wait(lock, [&] { return !queue.empty() || failed_; });
    if (queue.empty()) throw OtherRankFailed();
    std::vector<std::byte> bytes = std::move(queue.front());
    queue.pop_front();
    return bytes;
  }
  void fail() {
    const std::lock_guard lock(mutex_);
    failed_ = true;
    arrived_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::map<std::pair<int, int>, std::deque<std::vector<std::byte>>> mail_;
  bool failed_ = false;
};

class ThreadComm final : public Comm {
 public:
  ThreadComm(ThreadMail& mail, int rank, int size) : mail_(mail), rank_(rank), size_(size) {}
  int rank() const override { return rank_; }
  int size() const override { return size_; }
  void exchange(std::span<const Send> sends, std::span<const Receive> receives) override {
    for (const Send& s : sends) {
      if (!s.bytes.empty()) mail_.put(rank_, s.to, s.bytes);
    }
    for (const Receive& r : receives) {
      if (r.bytes.empty()) continue;
      const std::vector<std::byte> bytes = mail_.take(r.from, rank_);
      NAUTILE_ASSERT(bytes.size() == r.bytes.size(), "{} bytes from rank {}, expected {}",
                     bytes.size(), r.from, r.bytes.size());
      std::copy(bytes.begin(), bytes.end(), r.bytes.begin());
    }
  }
  void finish() override {}
  [[noreturn]] void fail(int, const std::function<void()>&) override { throw OtherRankFailed(); }

 private:
  ThreadMail& mail_;
  int rank_, size_;
};

// body(comm) on `ranks` threads; throws the first exception that is not OtherRankFailed.
inline void run_ranks(int ranks, const std::function<void(Comm&)>& body) {
  ThreadMail mail;
  std::mutex mutex;
  std::exception_ptr error;
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      ThreadComm comm(mail, rank, ranks);
      try {
        body(comm);
      } catch (const OtherRankFailed&) {
        mail.fail();
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!error) error = std::current_exception();
        mail.fail();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (error) std::rethrow_exception(error);
}

}  // namespace nautile
