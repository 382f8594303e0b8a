// workers_test.cpp — jobs are done, on threads or on the caller's, and no more wait than may.
#include "server/workers.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>

namespace nautile::server {
namespace {

TEST(Workers, WithoutThreadsTheCallerDoesTheJobsOneAfterAnother) {
  Workers workers(0, 2);
  std::string order;
  const auto posted = workers.post([&] {
    order += "a(";
    workers.post_always([&] {
      order += "c";
      workers.post_always([&] { order += "d"; });
    });
    order += ")";
  });
  EXPECT_EQ(posted, Workers::Posted::yes);
  EXPECT_EQ(order, "a()cd");
  workers.post([&] { order += "e"; });
  EXPECT_EQ(order, "a()cde");
  workers.stop();
  EXPECT_EQ(workers.post([&] { order += "f"; }), Workers::Posted::full);
  EXPECT_EQ(order, "a()cde");
}

TEST(Workers, ThreadsDoWhatIsPosted) {
  std::atomic<int> done = 0;
  {
    Workers workers(2, 100);
    for (int i = 0; i < 100; ++i) {
      while (workers.post([&] { ++done; }) == Workers::Posted::full) std::this_thread::yield();
    }
    while (done < 100) std::this_thread::yield();
  }
  EXPECT_EQ(done, 100);
}

}  // namespace
}  // namespace nautile::server
