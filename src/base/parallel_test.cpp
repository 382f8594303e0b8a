#include "base/parallel.h"

#include <gtest/gtest.h>

#include <numeric>
#include <stdexcept>
#include <vector>

namespace nautile {
namespace {

TEST(Parallel, CoversEveryIndexOnce) {
  for (int threads : {1, 2, 3, 4}) {
    ThreadPool pool(threads);
    for (int count : {0, 1, 2, 7, 100, 1001}) {
      std::vector<int> hits(static_cast<std::size_t>(count), 0);
      pool.parallel_for(count, 1, [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t i = begin; i < end; ++i) ++hits[static_cast<std::size_t>(i)];
      });
      EXPECT_EQ(std::accumulate(hits.begin(), hits.end(), 0), count);
    }
  }
}

TEST(Parallel, ManyShortRuns) {
  ThreadPool pool(3);
  std::vector<long> sums(3, 0);
  for (int i = 0; i < 2000; ++i)
    pool.run([&](int thread) { sums[static_cast<std::size_t>(thread)] += i; });
  for (long sum : sums) EXPECT_EQ(sum, 1999L * 2000 / 2);
}

TEST(Parallel, CarriesTheFirstExceptionAndGoesOn) {
  ThreadPool pool(2);
  EXPECT_THROW(pool.run([](int thread) {
    if (thread == 1) throw std::runtime_error("x");
  }),
               std::runtime_error);
  int ran = 0;
  pool.parallel_for(1, 1, [&](std::int64_t, std::int64_t, int) { ++ran; });
  EXPECT_EQ(ran, 1);
}

}  // namespace
}  // namespace nautile
