// HttpServer over real sockets: what is answered, refused, and noticed.
#include "server/http_server.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "server/http_testing.h"

namespace nautile::server {
namespace {

constexpr const char* kGet = "GET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n";

std::string post(const std::string& path, const std::string& body, const std::string& fields = "") {
  return fmt::format(
      "POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{}"
      "Content-Length: {}\r\n\r\n{}",
      path, fields, body.size(), body);
}

std::vector<Endpoint> echo_endpoints() {
  return {{"GET", "/echo", echo_handler()},
          {"POST", "/echo", echo_handler()},
          {"POST", "/json", echo_handler(), Access::key, BodyType::json},
          {"GET", "/things/*", echo_handler()}};
}

std::vector<Endpoint> with_holder(Holder& holder) {
  auto endpoints = echo_endpoints();
  endpoints.push_back({"POST", "/hold", holder.handler()});
  return endpoints;
}

void expect_error_shape(const Response& response) {
  const auto body = nlohmann::json::parse(response.body, nullptr, false);
  ASSERT_TRUE(body.is_object()) << response.body;
  for (const char* field : {"message", "type", "param", "code"}) {
    EXPECT_TRUE(body["error"].contains(field)) << response.body;
  }
}

TEST(HttpServer, AnswersAndKeepsTheConnection) {
  Served served(echo_endpoints());
  Client client = served.client();
  for (int i = 0; i < 3; ++i) {
    const Response response = client.get("/echo?x=1", "x-request-id: my-1.2_3\r\n");
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, "GET /echo?x=1 ");
    EXPECT_EQ(response.headers.at("x-request-id"), "my-1.2_3");
    EXPECT_EQ(response.headers.at("connection"), "keep-alive");
  }
  // An id that could end a line of a log or a header is replaced.
  const Response other = client.get("/echo", "x-request-id: a b\r\n");
  EXPECT_EQ(other.headers.at("x-request-id").substr(0, 4), "req-");
  client.send("GET /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(client.response().headers.at("connection"), "close");
  EXPECT_EQ(client.rest(), "");
}

TEST(HttpServer, MethodsAndPaths) {
  Served served(echo_endpoints());
  Client client = served.client();
  client.send("HEAD /echo HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const Response head = client.response("HEAD");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers.at("content-length"), "11");
  EXPECT_EQ(client.get("/things/a%2Fb/c").body, "GET /things/a/b/c ");
  const Response missing = client.get("/nothing");
  EXPECT_EQ(missing.status, 404);
  expect_error_shape(missing);
  EXPECT_EQ(client.get("/things/").status, 404);
  client.send("DELETE /echo HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const Response wrong = client.response();
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.headers.at("allow"), "GET, HEAD, POST, OPTIONS");
  expect_error_shape(wrong);
  client.send("OPTIONS /echo HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const Response options = client.response();
  EXPECT_EQ(options.status, 204);
  EXPECT_EQ(options.headers.at("allow"), "GET, HEAD, POST, OPTIONS");
  client.send("POST /json HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(client.response().status, 415);
  client.send(post("/json", "{}"));
  EXPECT_EQ(client.response().body, "POST /json {}");
}

TEST(HttpServer, OldClients) {
  Served served(
      {{"GET", "/echo", echo_handler()},
       {"GET", "/stream", [](const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
          reply->begin(200, "text/plain");
          reply->write("one ");
          reply->write("two");
          reply->end();
        }}});
  Client client = served.client();
  client.send("GET /echo HTTP/1.0\r\n\r\n");
  EXPECT_EQ(client.response().body, "GET /echo ");
  EXPECT_EQ(client.rest(), "");
  Client streaming = served.client();
  streaming.send("GET /stream HTTP/1.0\r\n\r\n");
  const Response response = streaming.response();
  EXPECT_FALSE(response.headers.contains("transfer-encoding"));
  EXPECT_EQ(response.body, "one two");
}

TEST(HttpServer, Streams) {
  Holder holder;
  Served served(with_holder(holder));
  Client client = served.client();
  client.send(post("/hold", "{}"));
  const auto reply = holder.wait_for_reply();
  reply->begin(200, "text/event-stream");
  EXPECT_TRUE(reply->write("data: 1\n\n"));
  ASSERT_TRUE(client.sees("data: 1\n\n"));  // before the stream has ended
  EXPECT_TRUE(reply->write(""));            // which would be the end of chunks
  EXPECT_TRUE(reply->write("data: 2\n\n"));
  reply->end();
  EXPECT_FALSE(reply->write("late"));
  const Response response = client.response();
  EXPECT_EQ(response.body, "data: 1\n\ndata: 2\n\n");
  EXPECT_EQ(response.headers.at("x-accel-buffering"), "no");
  EXPECT_EQ(client.get("/echo").status, 200);
  EXPECT_EQ(holder.gone(), 0);
}

TEST(HttpServer, KeepsQuietStreamsAlive) {
  Holder holder;
  Served served(with_holder(holder));
  Client client = served.client();
  client.send(post("/hold", "{}"));
  const auto reply = holder.wait_for_reply();
  reply->keep_alive(0.05, ": keep-alive\n\n");
  reply->begin(200, "text/event-stream");
  ASSERT_TRUE(comes([&] {
    client.receive();
    return client.input().find(": keep-alive\n\n") != client.input().rfind(": keep-alive\n\n");
  }));
  reply->end();
  EXPECT_TRUE(client.response().whole);
}

TEST(HttpServer, UnansweredAndThrowing) {
  Holder holder;
  auto endpoints = with_holder(holder);
  endpoints.push_back({"GET", "/throw", [](const HttpRequest&, const std::shared_ptr<HttpReply>&) {
                         throw std::runtime_error("secret /path");
                       }});
  endpoints.push_back({"GET", "/throw_odd",
                       [](const HttpRequest&, const std::shared_ptr<HttpReply>&) { throw 7; }});
  Served served(std::move(endpoints));
  Client client = served.client();
  for (const char* path : {"/throw", "/throw_odd"}) {
    const Response thrown = client.get(path);
    EXPECT_EQ(thrown.status, 500);
    expect_error_shape(thrown);
    EXPECT_EQ(thrown.body.find("secret"), std::string::npos);
  }
  client.send(post("/hold", "{}"));
  holder.wait_for_reply();
  holder.forget();
  const Response dropped = client.response();
  EXPECT_EQ(dropped.status, 500);
  expect_error_shape(dropped);
  // A stream that nobody ends is cut off, not ended.
  client.send(post("/hold", "{}"));
  holder.wait_for_reply()->begin(200, "text/plain");
  holder.forget();
  EXPECT_FALSE(client.response().whole);
  EXPECT_EQ(served.client().get("/echo").status, 200);
}

TEST(HttpServer, PipelinedRequestsAreAnsweredInOrder) {
  Holder holder;
  Served served(with_holder(holder));
  Client client = served.client();
  std::string all;
  for (int i = 0; i < 100; ++i) all += post("/echo", std::to_string(i));
  client.send(all);
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(client.response().body, "POST /echo " + std::to_string(i));
  }
  // Also behind one that takes its time, and when the client says no more.
  client.send(post("/hold", "{}") + post("/echo", "after"));
  const auto reply = holder.wait_for_reply();
  reply->send(200, "text/plain", "held");
  EXPECT_EQ(client.response().body, "held");
  EXPECT_EQ(client.response().body, "POST /echo after");
}

TEST(HttpServer, HalfClosedClientsGetWhatWasAnswered) {
  Served served(echo_endpoints());
  for (int i = 0; i < 20; ++i) {
    Client client = served.client();
    client.send(kGet);
    client.end_sending();
    EXPECT_EQ(client.response().status, 200);
    EXPECT_EQ(client.rest(), "");
  }
}

TEST(HttpServer, ExpectContinue) {
  Served served(echo_endpoints());
  Client client = served.client();
  client.send(
      "POST /echo HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: "
      "2\r\n\r\n");
  EXPECT_EQ(client.response().status, 100);
  client.send("ok");
  EXPECT_EQ(client.response().body, "POST /echo ok");
  // What will be refused is not asked for.
  client.send(
      "POST /nothing HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: "
      "2\r\n\r\n");
  EXPECT_EQ(client.response().status, 404);
}

TEST(HttpServer, LargeHeadsAreRefusedAtOnce) {
  Served served(echo_endpoints());
  std::string fields;
  for (int i = 0; i < 10'000; ++i) fields += fmt::format("x-{}: y\r\n", i);
  for (const std::string& text : {"GET /echo HTTP/1.1\r\nX: " + std::string(1 << 20, 'x'),
                                  "GET /echo HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n"}) {
    Client client = served.client();
    const double start = seconds_now();
    client.send(text);
    const Response response = client.response();
    EXPECT_EQ(response.status, 431);
    EXPECT_LT(seconds_now() - start, 0.5);  // 0.05 on a machine that does nothing else
    expect_error_shape(response);
  }
}

TEST(HttpServer, LargeBodiesAreRefused) {
  ServerOptions options;
  options.limits.body_bytes = 1000;
  Served served(echo_endpoints(), options);
  Client known = served.client();
  known.send("POST /echo HTTP/1.1\r\nHost: a.localhost\r\nContent-Length: 1001\r\n\r\n");
  EXPECT_EQ(known.response().status, 413);
  Client chunked = served.client();
  chunked.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" +
               std::string("1f4\r\n") + std::string(500, 'x') + "\r\n1f5\r\n" +
               std::string(501, 'x'));
  EXPECT_EQ(chunked.response().status, 413);
  Client fits = served.client();
  fits.send(post("/echo", std::string(1000, 'x')));
  EXPECT_EQ(fits.response().body.size(), 1000U + 11U);
}

TEST(HttpServer, ThreeMegabytesOfOneByteChunks) {
  Served served(echo_endpoints());
  Client client = served.client();
  std::string text = "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 500'000; ++i) text += "1\r\nx\r\n";
  client.send(text + "0\r\n\r\n");
  EXPECT_EQ(client.response().body.size(), 500'000U + 11U);
}

TEST(HttpServer, SmugglingIsRefusedAndEndsTheConnection) {
  Served served(echo_endpoints());
  for (const char* text :
       {"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: "
        "chunked\r\n\r\n0\r\n\r\nGET /echo HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET /echo HTTP/1.1\nHost: localhost\n\n",
        "GET /echo HTTP/1.1\r\nHost: localhost\r\n X: y\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n"}) {
    Client client = served.client();
    client.send(text);
    const Response response = client.response();
    EXPECT_EQ(response.status, 400);
    expect_error_shape(response);
    EXPECT_EQ(client.rest(), "");
  }
}

TEST(HttpServer, SlowHeadsDoNotHurtOthers) {
  ServerOptions options;
  options.limits.head_seconds = 0.5;
  options.limits.body_seconds = 0.3;
  Served served(echo_endpoints(), options);
  std::vector<Client> slow;
  for (int i = 0; i < 200; ++i) {
    slow.push_back(served.client());
    slow.back().send(i % 2 == 0 ? "GET /echo HTTP/1.1\r\nHo" : "");
  }
  Client stuck = served.client();
  stuck.send("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx");
  const double start = seconds_now();
  EXPECT_EQ(served.client().get("/echo").status, 200);
  EXPECT_LT(seconds_now() - start, 0.4);
  // Those that began are told; those that said nothing are closed.
  EXPECT_EQ(slow[0].response().status, 408);
  EXPECT_EQ(slow[1].rest(), "");
  EXPECT_EQ(stuck.response().status, 408);
  for (Client& client : slow) client.leave();
  stuck.leave();
  EXPECT_TRUE(comes([&] { return served.http.counts().connections == 0; }));
}

// What is refused before its head is whole is not put down to the request before it.
TEST(HttpServer, AnUnreadRequestIsNobodys) {
  ServerOptions options;
  options.limits.head_seconds = 0.2;
  GateOptions gate;
  gate.origins = {"https://chat.example"};
  Served served(echo_endpoints(), options, gate);
  Client client = served.client();
  const Response first = client.get("/echo", "Origin: https://chat.example\r\nx-request-id: a\r\n");
  EXPECT_EQ(first.headers.at("access-control-allow-origin"), "https://chat.example");
  client.send("GET /echo HTTP/1.1\r\n");
  const Response late = client.response();
  EXPECT_EQ(late.status, 408);
  EXPECT_FALSE(late.headers.contains("access-control-allow-origin"));
  EXPECT_NE(late.headers.at("x-request-id"), "a");
  EXPECT_TRUE(comes([&] {
    return served.metrics.text().find(R"({method="other",route="other",status="408"} 1)") !=
           std::string::npos;
  }));
}

TEST(HttpServer, SlowReadersAreCancelled) {
  Holder holder;
  ServerOptions options;
  Served served(with_holder(holder), options);
  constexpr int kClients = 20;
  std::vector<Client> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.emplace_back(served.http.port(), 10.0, 4096);
    clients.back().send(post("/hold", "{}"));
    holder.wait_for_reply(static_cast<std::size_t>(i))->begin(200, "text/event-stream");
  }
  const std::string piece(16 << 10, 'x');
  for (const auto& reply : holder.replies()) {
    // What the systems' buffers take comes on top of the limit.
    std::size_t taken = 0;
    while (reply->write(piece) && taken < std::size_t{64} << 20) taken += piece.size();
    EXPECT_GE(taken, options.limits.unread_bytes - piece.size());
    EXPECT_LT(taken, options.limits.unread_bytes + (std::size_t{4} << 20));
  }
  EXPECT_TRUE(comes([&] { return holder.gone() == kClients; }));
  EXPECT_EQ(served.client().get("/echo").status, 200);
  EXPECT_NE(served.metrics.text().find("nautile_http_slow_readers_total 20"), std::string::npos);
}

TEST(HttpServer, StalledReadersAreCancelled) {
  Holder holder;
  ServerOptions options;
  options.limits.stall_seconds = 0.3;
  Served served(with_holder(holder), options);
  Client client(served.http.port(), 10.0, 4096);
  client.send(post("/hold", "{}"));
  const auto reply = holder.wait_for_reply();
  reply->send(200, "text/plain", std::string(std::size_t{8} << 20, 'x'));
  EXPECT_TRUE(comes([&] { return served.http.counts().connections == 0; }));
}

enum class LeftWhen { waiting, streaming, sent_ahead, sent_too_far_ahead, before_asked };

class HttpServerGone : public ::testing::TestWithParam<LeftWhen> {};

TEST_P(HttpServerGone, IsNoticed) {
  Holder holder;
  Served served(with_holder(holder));
  for (int i = 0; i < 20; ++i) {
    Client client = served.client();
    client.send(post("/hold", "{}"));
    const auto reply = holder.wait_for_reply(static_cast<std::size_t>(i));
    if (GetParam() == LeftWhen::streaming) {
      reply->begin(200, "text/event-stream");
      reply->write("data: 1\n\n");
      ASSERT_TRUE(client.sees("data: 1"));
    }
    if (GetParam() == LeftWhen::sent_ahead) client.send(kGet);
    if (GetParam() == LeftWhen::sent_too_far_ahead) {
      client.send(post("/echo", std::string(100'000, 'x')));
    }
    const double left = seconds_now();
    client.leave();
    ASSERT_TRUE(comes([&] { return holder.gone() == i + 1; }));
    EXPECT_LT(holder.gone_at() - left, 0.25);
    EXPECT_FALSE(reply->write("nobody reads this"));
    if (GetParam() == LeftWhen::before_asked) {
      bool told = false;
      reply->on_gone([&] { told = true; });
      EXPECT_TRUE(told);
    }
    reply->send(200, "text/plain", "nobody reads this");
    reply->end();
  }
  EXPECT_TRUE(comes([&] { return served.http.counts().answering == 0; }));
  EXPECT_NE(served.metrics.text().find("status=\"499\"} 20"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(States, HttpServerGone,
                         ::testing::Values(LeftWhen::waiting, LeftWhen::streaming,
                                           LeftWhen::sent_ahead, LeftWhen::sent_too_far_ahead,
                                           LeftWhen::before_asked));

TEST(HttpServer, FullHouse) {
  Holder holder;
  ServerOptions options;
  options.limits.connections = 8;
  Served served(with_holder(holder), options);
  std::vector<Client> clients;
  for (int i = 0; i < 8; ++i) clients.push_back(served.client());
  clients[0].send(post("/hold", "{}"));
  const auto reply = holder.wait_for_reply();
  // The one that has waited longest goes; the one that is at work stays.
  EXPECT_EQ(served.client().get("/echo").status, 200);
  EXPECT_EQ(clients[1].rest(), "");
  EXPECT_EQ(clients[7].get("/echo").status, 200);
  reply->send(200, "text/plain", "still here");
  EXPECT_EQ(clients[0].response().body, "still here");
}

TEST(HttpServer, ManyStreamsAtOnce) {
  Holder holder;
  Served served(with_holder(holder));
  constexpr std::size_t kStreams = 300;
  std::vector<Client> clients;
  for (std::size_t i = 0; i < kStreams; ++i) {
    clients.push_back(served.client());
    clients.back().send(post("/hold", "{}"));
  }
  holder.wait_for_reply(kStreams - 1);
  const auto replies = holder.replies();
  for (const auto& reply : replies) reply->begin(200, "text/event-stream");
  for (int token = 0; token < 16; ++token) {
    for (const auto& reply : replies) EXPECT_TRUE(reply->write("data: token\n\n"));
  }
  const double start = seconds_now();
  EXPECT_EQ(served.client().get("/echo").status, 200);
  EXPECT_LT(seconds_now() - start, 0.5);
  for (const auto& reply : replies) reply->end();
  for (Client& client : clients) {
    const Response response = client.response();
    EXPECT_TRUE(response.whole);
    EXPECT_EQ(response.body.size(), 16U * 13U);
  }
}

TEST(HttpServer, DrainsAndStops) {
  Holder holder;
  Served served(with_holder(holder));
  Client streaming = served.client(), cut = served.client(), idle = served.client();
  EXPECT_EQ(idle.get("/echo").status, 200);
  streaming.send(post("/hold", "{}"));
  const auto reply = holder.wait_for_reply(0);
  reply->begin(200, "text/event-stream");
  cut.send(post("/hold", "{}"));
  holder.wait_for_reply(1);
  served.http.drain();
  EXPECT_TRUE(comes([&] { return !served.client(0.5).connected(); }));
  EXPECT_EQ(idle.get("/echo").headers.at("connection"), "close");
  EXPECT_FALSE(served.http.wait_idle(0.05));
  EXPECT_TRUE(reply->write("data: last\n\n"));
  reply->end();
  served.http.stop();
  EXPECT_EQ(holder.gone(), 1);
  EXPECT_EQ(streaming.response().body, "data: last\n\n");
  EXPECT_EQ(cut.rest(), "");
  // Replies that outlive the server do nothing.
  EXPECT_FALSE(holder.replies()[1]->write("late"));
  holder.replies()[1]->send(200, "text/plain", "late");
}

TEST(HttpServer, PortInUse) {
  Served served(echo_endpoints());
  ServerOptions options;
  options.port = served.http.port();
  try {
    Served second(echo_endpoints(), options);
    FAIL() << "two servers at one port";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("another program listens there"), std::string::npos);
  }
}

}  // namespace
}  // namespace nautile::server
