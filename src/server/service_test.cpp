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
  std::vector<std::shared_ptr<RecordingReply>> let_in;
  for (int i = 0; i < 50; ++i) {
    // They have their answer when the handler returns, however far the workers are with the others.
    auto reply = test.begin(test.ask, kBody);
    if (reply->status() == 0) {
      let_in.push_back(std::move(reply));
      continue;
    }
    EXPECT_EQ(reply->status(), 429) << i;
    EXPECT_EQ(reply->header("retry-after"), "1") << i;
  }
  ASSERT_TRUE(engine_has(kRoom));
  // A request between its worker and the engine counts nowhere for an instant. Who comes just then
  // is let in and hears it from the engine.
  const auto too_many = [&] { return static_cast<std::int64_t>(let_in.size()) - kRoom; };
  EXPECT_LE(too_many(), kRoom);
  EXPECT_TRUE(comes([&] {
    std::erase_if(let_in, [](const auto& reply) { return reply->status() == 429; });
    return too_many() == 0;
  }));
  EXPECT_EQ(test.begin(test.ask, "no JSON at all")->status(), 429);
  // What needs no engine is answered.
  const auto told = test.begin(test.tell, kBody);
  told->wait();
  EXPECT_EQ(told->status(), 200);
  // A place is free again when its client has left, and after a request that cannot be.
  let_in[0]->leave();
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
