// Service: who is let in when the engine is full.
#include <gtest/gtest.h>

#include "server/service_testing.h"

namespace nautile::server {
namespace {

constexpr const char* kBody = R"({"prompt": "x"})";

// An engine that runs nothing, so that what it takes stays with it.
EchoOptions with_room(std::size_t requests) {
  EchoOptions options;
  options.running = 0;
  options.waiting = requests;
  return options;
}

TEST(Service, ACrowdIsTurnedAwayBeforeItIsRead) {
  constexpr std::int64_t kRoom = 4;
  TestService test(with_room(kRoom));
  const auto engine_has = [&](std::int64_t requests) {
    return comes([&] { return test.watched.counts().waiting == requests; });
  };
  std::vector<std::shared_ptr<RecordingReply>> replies;
  for (int i = 0; i < 50; ++i) replies.push_back(test.begin(test.ask, kBody));
  // They have their answer when the handler returns, however far the workers are with the others.
  for (std::size_t i = kRoom; i < replies.size(); ++i) {
    EXPECT_EQ(replies[i]->status(), 429) << i;
    EXPECT_EQ(replies[i]->header("retry-after"), "1") << i;
  }
  ASSERT_TRUE(engine_has(kRoom));
  EXPECT_EQ(test.begin(test.ask, "no JSON at all")->status(), 429);
  // What needs no engine is answered.
  const auto told = test.begin(test.tell, kBody);
  told->wait();
  EXPECT_EQ(told->status(), 200);
  // A place is free again when its client has left, and after a request that cannot be.
  replies[0]->leave();
  ASSERT_TRUE(engine_has(kRoom - 1));
  const auto bad = test.begin(test.ask, "no JSON at all");
  bad->wait();
  EXPECT_EQ(bad->status(), 400);
  const auto last = test.begin(test.ask, kBody);
  EXPECT_TRUE(engine_has(kRoom));
  EXPECT_EQ(last->status(), 0);
}

TEST(Service, WhoComesWhileItDrainsIsToldSo) {
  TestService test(with_room(4));
  test.watched.drain();
  const auto reply = test.begin(test.ask, kBody);
  EXPECT_EQ(reply->status(), 503);
  EXPECT_EQ(reply->header("retry-after"), "5");
}

}  // namespace
}  // namespace nautile::server
