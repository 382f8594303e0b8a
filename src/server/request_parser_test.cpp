// Requests byte by byte: what is taken, what is refused, and that the cut makes no difference.
#include "server/request_parser.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>

namespace nautile::server {
namespace {

using State = RequestParser::State;

constexpr Limits kLimits;

struct Outcome {
  State state = State::head;
  int status = 0;
  std::vector<HttpRequest> requests;
};

// Feeds `text` in pieces of `piece` bytes, taking requests as they come.
Outcome parse(std::string_view text, std::size_t piece, const Limits& limits = kLimits) {
  RequestParser parser(limits);
  Outcome outcome;
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view next = text.substr(at, piece);
    const std::size_t used = parser.feed(next);
    at += used;
    if (parser.state() == State::complete) {
      outcome.requests.push_back(parser.take());
    } else if (parser.state() == State::failed) {
      break;
    } else {
      EXPECT_TRUE(used == next.size() || parser.state() == State::body) << "stuck at " << at;
    }
  }
  outcome.state = parser.state();
  outcome.status = parser.refusal().status;
  return outcome;
}

int status_of(const std::string& text) {
  const Outcome whole = parse(text, text.size()), single = parse(text, 1);
  EXPECT_EQ(whole.state, single.state) << text;
  if (whole.state != State::failed) return whole.requests.empty() ? -1 : 200;
  EXPECT_EQ(whole.status, single.status) << text;
  return whole.status;
}

const std::string kHost = "Host: localhost\r\n";

TEST(RequestParser, PlainRequest) {
  const std::string text =
      "\r\nPOST /a%20b/c?x=1&y HTTP/1.1\r\nHost: localhost:8080\r\nContent-Type:application/json "
      "\r\n"
      "X-Empty:\r\nContent-Length: 5\r\n\r\nhello";
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, text.size()}) {
    const Outcome outcome = parse(text, piece);
    ASSERT_EQ(outcome.requests.size(), 1U);
    const HttpRequest& request = outcome.requests[0];
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.path, "/a b/c");
    EXPECT_EQ(request.query, "x=1&y");
    EXPECT_EQ(request.header("content-type"), "application/json");
    EXPECT_EQ(request.header("X-EMPTY"), "");
    EXPECT_EQ(request.body, "hello");
  }
}

TEST(RequestParser, ManyInARow) {
  std::string text;
  for (int i = 0; i < 50; ++i) {
    text += fmt::format("GET /{} HTTP/1.1\r\n{}\r\n", i, kHost);
    text += fmt::format(
        "POST /{} HTTP/1.1\r\n{}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", i, kHost);
  }
  for (const std::size_t piece : {std::size_t{1}, std::size_t{13}, text.size()}) {
    const Outcome outcome = parse(text, piece);
    ASSERT_EQ(outcome.requests.size(), 100U);
    EXPECT_EQ(outcome.requests[98].path, "/49");
    EXPECT_EQ(outcome.requests[99].body, "abc");
  }
}

TEST(RequestParser, Chunks) {
  const std::string head = "POST / HTTP/1.1\r\n" + kHost + "Transfer-Encoding: Chunked\r\n\r\n";
  const std::string text =
      head + "5\r\nhello\r\n00A;name=\"value\"\r\n, chunked!\r\n0\r\nX-T: 1\r\n\r\n";
  for (const std::size_t piece : {std::size_t{1}, std::size_t{3}, text.size()}) {
    const Outcome outcome = parse(text, piece);
    ASSERT_EQ(outcome.requests.size(), 1U);
    EXPECT_EQ(outcome.requests[0].body, "hello, chunked!");
  }
  for (const char* bad :
       {"-1\r\n", "-2\r\n", "+5\r\nhello\r\n", "0x5\r\nhello\r\n", "\r\n", " 5\r\nhello\r\n",
        "5 5\r\nhello\r\n", "5\nhello\r\n", "5\r\nhello\n0\r\n\r\n", "5\r\nhelloo\r\n0\r\n\r\n",
        "g\r\n", ";a\r\n", "5\r\rhello\r\n", "5;\x01\r\nhello\r\n", "0\r\nno colon\r\n\r\n",
        "0\r\nX: 1\n\r\n"}) {
    EXPECT_EQ(status_of(head + bad), 400) << bad;
  }
  for (const char* large : {"10000000000000000\r\n", "ffffffffffffffff\r\n", "2000001\r\n",
                            "fffffffffffffffffffffffffffffff\r\n"}) {
    EXPECT_EQ(status_of(head + large), 413) << large;
  }
  EXPECT_EQ(status_of(head + std::string(300, '0') + "5\r\nhello"), 400);
  EXPECT_EQ(status_of(head + "0\r\nX: " + std::string(5000, 'x') + "\r\n\r\n"), 431);
}

TEST(RequestParser, AmbiguousFraming) {
  const auto post = [](const std::string& fields, const std::string& body = "0\r\n\r\n") {
    return status_of("POST / HTTP/1.1\r\n" + kHost + fields + "\r\n" + body);
  };
  EXPECT_EQ(post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"), 400);
  EXPECT_EQ(post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), 400);
  EXPECT_EQ(post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), 400);
  EXPECT_EQ(post("Content-Length: 5, 5\r\n", "hello"), 400);
  EXPECT_EQ(post("Content-Length: +5\r\n", "hello"), 400);
  EXPECT_EQ(post("Content-Length: -5\r\n", "hello"), 400);
  EXPECT_EQ(post("Content-Length: 0x5\r\n", "hello"), 400);
  EXPECT_EQ(post("Content-Length: 5 \t\r\n", "hello"), 200);
  EXPECT_EQ(post("Content-Length: \r\n", "hello"), 400);
  EXPECT_EQ(post("Content-Length: 18446744073709551616\r\n"), 413);
  EXPECT_EQ(post("Content-Length: 9223372036854775808\r\n"), 413);
  EXPECT_EQ(post("Transfer-Encoding: gzip, chunked\r\n"), 501);
  EXPECT_EQ(post("Transfer-Encoding: chunked, chunked\r\n"), 501);
  EXPECT_EQ(post("Transfer-Encoding: xchunked\r\n"), 501);
  EXPECT_EQ(post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400);
  EXPECT_EQ(post("Transfer-Encoding : chunked\r\n"), 400);
  EXPECT_EQ(post("Transfer-Encoding: chunked\r\n"), 200);
  EXPECT_EQ(status_of("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400);
}

TEST(RequestParser, BadHeads) {
  const std::string rest = " HTTP/1.1\r\n" + kHost;
  for (const std::string& bad : std::vector<std::string>{
           "GET / HTTP/1.1\nHost: localhost\n\n",
           "GET /" + rest + "X: a\r\n b\r\n\r\n",
           "GET /" + rest + "X: a\r\n\tb\r\n\r\n",
           "GET / HTTP/1.1\r\n X: first line folded\r\n" + kHost + "\r\n",
           "GET /" + rest + std::string("X: a\0b\r\n\r\n", 10),
           "GET /" + rest + "X: a\rb\r\n\r\n",
           "GET /" + rest + "X : a\r\n\r\n",
           "GET /" + rest + ": a\r\n\r\n",
           "GET /" + rest + "no colon\r\n\r\n",
           "GET /" + rest + "X(y): a\r\n\r\n",
           "GET /" + rest + kHost + "\r\n",
           "GET / HTTP/1.1\r\n\r\n",
           "GET /a b" + rest + "\r\n",
           "GET /%" + rest + "\r\n",
           "GET /%0" + rest + "\r\n",
           "GET /%zz" + rest + "\r\n",
           "GET /%00" + rest + "\r\n",
           "GET a" + rest + "\r\n",
           "GET *" + rest + "\r\n",
           "G@T /" + rest + "\r\n",
           " GET /" + rest + "\r\n",
           "GET\t/\tHTTP/1.1\r\n" + kHost + "\r\n",
           "GET /\r\n\r\n",
           "GET / HTTP/1.1 \r\n" + kHost + "\r\n",
           "GET / http/1.1\r\n" + kHost + "\r\n",
           "GET http:///x" + rest + "\r\n",
           "\r\n\r\n\r\n\r\n\r\n",
       }) {
    EXPECT_EQ(status_of(bad), 400) << bad;
  }
  EXPECT_EQ(status_of("GET / HTTP/2.0\r\n" + kHost + "\r\n"), 505);
  EXPECT_EQ(status_of("GET / HTTP/1.2\r\n" + kHost + "\r\n"), 505);
  EXPECT_EQ(status_of("PRI * HTTP/2.0\r\n\r\n"), 505);
  EXPECT_EQ(status_of("POST /" + rest + "Expect: something\r\n\r\n"), 417);
  EXPECT_EQ(status_of("POST /" + rest + "Content-Encoding: gzip\r\n\r\n"), 415);
  EXPECT_EQ(status_of("POST /" + rest + "Content-Encoding: zstd\r\n\r\n"), 415);
  EXPECT_EQ(status_of("GET /" + rest + "Content-Encoding: identity\r\n\r\n"), 200);
  EXPECT_EQ(status_of("GET / HTTP/1.0\r\n\r\n"), 200);
  EXPECT_EQ(status_of("OPTIONS *" + rest + "\r\n"), 200);
}

TEST(RequestParser, LimitsOfTheHead) {
  const std::string start = "GET / HTTP/1.1\r\n" + kHost;
  EXPECT_EQ(status_of(start + "X: " + std::string(15000, 'x') + "\r\n\r\n"), 200);
  EXPECT_EQ(status_of(start + "X: " + std::string(17000, 'x') + "\r\n\r\n"), 431);
  EXPECT_EQ(status_of("GET /" + std::string(17000, 'x')), 431);
  EXPECT_EQ(status_of(std::string(1 << 20, 'x')), 431);
  std::string many = start;
  for (int i = 0; i < 99; ++i) many += "a: b\r\n";
  EXPECT_EQ(status_of(many + "\r\n"), 200);
  EXPECT_EQ(status_of(many + "a: b\r\n\r\n"), 431);
}

TEST(RequestParser, HostAndConnection) {
  const auto head = [](const std::string& text) {
    return std::get<RequestHead>(parse_request_head(text + "\r\n", kLimits));
  };
  EXPECT_EQ(head("GET http://A.example:1/x?y HTTP/1.1\r\nHost: other\r\n").host, "A.example:1");
  EXPECT_EQ(head("GET HTTPS://a HTTP/1.1\r\nHost: other\r\n").request.path, "/");
  EXPECT_EQ(head("GET http://a?q HTTP/1.1\r\nHost: other\r\n").request.query, "q");
  EXPECT_TRUE(head("GET / HTTP/1.1\r\n" + kHost).keep_alive);
  EXPECT_FALSE(head("GET / HTTP/1.1\r\n" + kHost + "Connection: x, Close\r\n").keep_alive);
  EXPECT_FALSE(head("GET / HTTP/1.0\r\n").keep_alive);
  EXPECT_TRUE(head("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n").keep_alive);
  EXPECT_TRUE(head("POST / HTTP/1.1\r\n" + kHost + "Expect: 100-Continue\r\n").wants_continue);
}

// Whatever comes: no crash, and the same however it is cut.
TEST(RequestParser, MutatedRequests) {
  const std::string seed =
      "POST /v1/x?y=1 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
      "Content-Type: application/json\r\n\r\n5;a=b\r\nhello\r\n3\r\nabc\r\n0\r\nT: 1\r\n\r\n";
  const std::string letters("\0\t\r\n :;0aF-+%/\x7f\xff", 16);
  std::mt19937_64 random(7);
  for (int round = 0; round < 5000; ++round) {
    std::string text = seed;
    for (int i = 0; i < 3; ++i) {
      const std::size_t at = random() % text.size();
      switch (random() % 3) {
        case 0:
          text[at] = letters[random() % letters.size()];
          break;
        case 1:
          text.insert(at, 1, letters[random() % letters.size()]);
          break;
        default:
          text.erase(at, 1);
      }
    }
    const Outcome whole = parse(text, text.size()), cut = parse(text, 1 + random() % 5);
    ASSERT_EQ(whole.requests.size(), cut.requests.size()) << text;
    ASSERT_EQ(whole.state, cut.state) << text;
    for (std::size_t i = 0; i < whole.requests.size(); ++i) {
      ASSERT_EQ(whole.requests[i].body, cut.requests[i].body) << text;
    }
  }
}

}  // namespace
}  // namespace nautile::server
