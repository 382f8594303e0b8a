// Outbox: order, bounds, and who is told to empty it.
#include "server/outbox.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

namespace nautile::server {
namespace {

using Bound = Outbox::Bound;
using Pushed = Outbox::Pushed;

TEST(Outbox, TellsTheFirstAndKeepsTheOrder) {
  Outbox box(100);
  EXPECT_FALSE(box.emptying());
  EXPECT_EQ(box.push("one ", Bound::unread), Pushed::first);
  EXPECT_EQ(box.push("two ", Bound::unread), Pushed::behind);
  EXPECT_EQ(box.next(), "one two ");
  box.written(4);
  EXPECT_EQ(box.push("three", Bound::unread), Pushed::behind);
  EXPECT_EQ(box.next(), "two ");
  box.written(4);
  EXPECT_EQ(box.next(), "three");
  box.written(5);
  EXPECT_TRUE(box.emptying());
  EXPECT_EQ(box.next(), "");
  EXPECT_FALSE(box.emptying());
  EXPECT_EQ(box.push("four", Bound::unread), Pushed::first);
}

TEST(Outbox, CountsWhatIsBeingWrittenAgainstTheBound) {
  Outbox box(10);
  EXPECT_EQ(box.push("12345678", Bound::unread), Pushed::first);
  EXPECT_EQ(box.next().size(), 8U);
  box.written(3);
  EXPECT_EQ(box.push("12345", Bound::unread), Pushed::behind);  // 5 and 5
  EXPECT_FALSE(box.overrun());
  EXPECT_EQ(box.push("1", Bound::unread), Pushed::overrun);
  EXPECT_TRUE(box.overrun());
  EXPECT_TRUE(box.is_shut());
  EXPECT_EQ(box.push("1", Bound::none), Pushed::shut);
}

TEST(Outbox, AnswersInOnePieceAreAsLargeAsTheyAre) {
  Outbox box(10);
  EXPECT_EQ(box.push(std::string(1000, 'x'), Bound::none), Pushed::first);
  EXPECT_EQ(box.next().size(), 1000U);
  EXPECT_FALSE(box.overrun());
}

TEST(Outbox, ShutTakesNothingAndGivesTheRest) {
  Outbox box(10);
  EXPECT_EQ(box.push("rest", Bound::none), Pushed::first);
  box.shut();
  EXPECT_EQ(box.push("more", Bound::none), Pushed::shut);
  EXPECT_FALSE(box.overrun());
  EXPECT_EQ(box.next(), "rest");
}

// Four threads fill; whoever is told that it is the first empties, one at a time.
TEST(Outbox, ThreadsFillItAndNoByteIsLost) {
  constexpr int kThreads = 4, kPieces = 5000;
  Outbox box(std::size_t{1} << 30);
  std::atomic<int> emptiers{0};
  std::string all;
  const auto fill = [&](char mark) {
    for (int i = 0; i < kPieces; ++i) {
      if (box.push(std::string(3, mark), Bound::unread) != Pushed::first) continue;
      EXPECT_EQ(emptiers.fetch_add(1), 0);
      for (;;) {
        // The last next() lets the next emptier in.
        emptiers.fetch_sub(1);
        const std::string_view bytes = box.next();
        if (bytes.empty()) break;
        emptiers.fetch_add(1);
        all += bytes.substr(0, 2);
        box.written(std::min<std::size_t>(bytes.size(), 2));
      }
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back(fill, static_cast<char>('a' + i));
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(all.size(), std::size_t{3} * kThreads * kPieces);
  EXPECT_FALSE(box.emptying());
}

}  // namespace
}  // namespace nautile::server
