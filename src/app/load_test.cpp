// What the load generator makes of servers' bytes, and of many answers' times.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "app/load_answer.h"
#include "app/load_prompt.h"
#include "app/load_report.h"
#include "app/load_run.h"
#include "base/error.h"

namespace nautile::app {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string chunked(const std::vector<std::string>& chunks) {
  std::string text =
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
      "Transfer-Encoding: chunked\r\n\r\n";
  for (const std::string& chunk : chunks)
    text += fmt::format("{:x};x=y\r\n{}\r\n", chunk.size(), chunk);
  return text + "0\r\nTrailer: 1\r\n\r\n";
}

// The bytes in pieces of `size`, one a second.
LoadAnswer read_all(const std::string& bytes, std::size_t size, bool ends = false) {
  LoadAnswer answer;
  AnswerReader reader(answer);
  double now = 0;
  bool whole = false;
  for (std::size_t at = 0; at < bytes.size(); at += size, ++now) {
    EXPECT_FALSE(whole) << "bytes after the end";
    whole =
        reader.feed(std::string_view(bytes).substr(at, size), now) == AnswerReader::State::whole;
  }
  if (ends && !whole) reader.end_of_input(now);
  EXPECT_TRUE(ends || whole);
  return answer;
}

const std::string kStream = chunked(
    {"data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
     ": keep-alive\n\ndata: {\"choices\":[{\"delta\":{\"reasoning_content\":\"a\"}}]}\r\n\r\n",
     "data: {\"choices\":[{\"delta\":{\"con",
     "tent\":\"b\"}}]}\n\ndata:{\"choices\":[{\"text\":\"c\"}]}\n\n",
     "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n",
     "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5,"
     "\"prompt_tokens_details\":{\"cached_tokens\":4}}}\n\ndata: [DONE]\n\n"});

TEST(AnswerReader, ReadsAStreamHoweverItIsCut) {
  for (std::size_t size : {std::size_t{1}, std::size_t{3}, std::size_t{17}, kStream.size()}) {
    const LoadAnswer answer = read_all(kStream, size);
    EXPECT_TRUE(answer.good()) << answer.error;
    EXPECT_EQ(answer.parts.size(), 3U) << size;
    EXPECT_EQ(answer.prompt_tokens, 7);
    EXPECT_EQ(answer.cached_tokens, 4);
    EXPECT_EQ(answer.tokens(), 5);
    const std::size_t last_piece = (kStream.size() - 1) / size;
    EXPECT_EQ(answer.ended, static_cast<double>(last_piece));
  }
}

TEST(AnswerReader, CountsPartsWithoutUsage) {
  const LoadAnswer answer = read_all(chunked({"data: {\"choices\":[{\"text\":\"a\"}]}\n\n",
                                              "data: {\"choices\":[{\"text\":\"b\"}]}\n\n"}),
                                     5);
  EXPECT_EQ(answer.tokens(), 2);
  EXPECT_EQ(answer.prompt_tokens, -1);
}

TEST(AnswerReader, ReadsRefusalsAndInterimResponses) {
  const std::string refusal =
      "HTTP/1.1 100 Continue\r\nContent-Length: 9\r\n\r\n"
      "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3\r\nContent-Length: 4\r\n\r\nfull";
  for (std::size_t size : {std::size_t{1}, refusal.size()}) {
    const LoadAnswer answer = read_all(refusal, size);
    EXPECT_EQ(answer.status, 429);
    EXPECT_TRUE(answer.retry_after);
    EXPECT_EQ(answer.body, "full");
    EXPECT_FALSE(answer.good());
  }
  EXPECT_EQ(read_all("HTTP/1.1 204 No Content\r\n\r\n", 2).status, 204);
  EXPECT_EQ(read_all("HTTP/1.0 200 OK\r\n\r\nto the end", 4, true).body, "to the end");
}

TEST(AnswerReader, TellsWhatTheServerSaysInAStream) {
  const LoadAnswer answer =
      read_all(chunked({"data: {\"error\":{\"message\":\"out of pages\",\"code\":500}}\n\n"}), 8);
  EXPECT_EQ(answer.error, "out of pages");
  EXPECT_FALSE(answer.good());
}

TEST(AnswerReader, RefusesWhatIsNoResponse) {
  const std::string event_head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
  for (const auto& [bytes, says] : {
           std::pair<std::string, const char*>{"SSH-2.0-x\r\n\r\n", "no HTTP/1.1 server"},
           {"HTTP/1.1 2x0 OK\r\n\r\n", "status"},
           {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "content-length"},
           {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "chunk's size"},
           {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", "longer"},
           {std::string(70'000, 'x'), "head is longer"},
           {event_head + "data: {\"choices\": [}\n\n", "an event"},
           {event_head + "data: []\n\n", "no object"},
           {event_head + "data: " + std::string(std::size_t{5} << 20, 'x'), "event is longer"},
       }) {
    try {
      read_all(bytes, bytes.size(), true);
      ADD_FAILURE() << "taken: " << bytes.substr(0, 80);
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr(says));
    }
  }
  EXPECT_THROW(read_all("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", 100, true), Error);
}

TEST(LoadTarget, ReadsAddresses) {
  const LoadTarget plain = parse_target("http://127.0.0.1:8080/v1/");
  EXPECT_EQ(plain.authority() + plain.prefix, "127.0.0.1:8080");
  const LoadTarget six = parse_target("http://[::1]:90/api/v1");
  EXPECT_EQ(six.host + " " + six.authority() + six.prefix, "::1 [::1]:90/api");
  EXPECT_EQ(parse_target("gpu").authority(), "gpu:80");
  for (const char* wrong : {"", "http://", "http://a:x", "http://a b", "http://u@h", "a:123456"})
    EXPECT_THROW(parse_target(wrong), Error) << wrong;
  try {
    parse_target("https://a");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::unsupported);
  }
}

TEST(LoadReport, TakesNearestRanks) {
  std::vector<double> values;
  for (int i = 100; i > 0; --i) values.push_back(i);
  const Percentiles found = percentiles(values);
  EXPECT_THAT((std::vector{found.p50, found.p95, found.p99}), ElementsAre(50, 95, 99));
  EXPECT_EQ(percentiles({7}).p99, 7);
  EXPECT_EQ(percentiles({}).p50, -1);
}

TEST(LoadReport, AddsUpAnswersAndRefusals) {
  LoadRun run;
  run.seconds = 10;
  LoadAnswer good;
  good.status = 200;
  good.begun = 1;
  good.parts = {1.5, 2, 3};
  good.ended = 3;
  good.prompt_tokens = 20;
  good.completion_tokens = 4;
  LoadAnswer full, broken = good;
  full.status = 429;
  full.retry_after = true;
  full.ended = 0.25;
  full.body = R"({"error":{"message":"try later"}})";
  broken.error = "the server closed the connection";
  run.answers = {good, full, broken, good};
  const LoadReport report = load_report(run, 2);
  EXPECT_EQ(report.good, 2);
  EXPECT_EQ(report.tokens, 8);
  EXPECT_DOUBLE_EQ(report.tokens_per_second(), 0.8);
  EXPECT_DOUBLE_EQ(report.first_token.p50, 0.5);
  EXPECT_DOUBLE_EQ(report.between_tokens.p95, 1);
  EXPECT_EQ(report.prompt_tokens, 20);
  EXPECT_EQ(report.cached_tokens, -1);
  ASSERT_EQ(report.failures.size(), 2U);
  EXPECT_EQ(report.failures.at(429).with_retry_after, 1);
  EXPECT_EQ(report.failures.at(429).example, "try later");
  EXPECT_DOUBLE_EQ(report.failures.at(429).seconds.p95, 0.25);
  EXPECT_EQ(report.failures.at(0).count, 1);
  const auto json = load_json(report);
  EXPECT_TRUE(json["cached_tokens"].is_null());
  EXPECT_EQ(json["failures"][1]["status"], 429);
  const std::string table = load_table({report});
  EXPECT_THAT(table,
              HasSubstr("1 × status 429, within 250 ms (p95), 1 with Retry-After: try later"));
}

TEST(LoadPrompt, SharesWhatIsShared) {
  const LoadPromptShape shape{150, 50, 3};
  const std::string a = load_prompt(shape, 0), b = load_prompt(shape, 1);
  EXPECT_EQ(std::count(a.begin(), a.end(), ' '), 199);
  EXPECT_EQ(a, load_prompt(shape, 0));
  const std::string shared = load_prompt({150, 0, 3}, 9);
  EXPECT_TRUE(a.starts_with(shared + " "));
  EXPECT_TRUE(b.starts_with(shared + " "));
  EXPECT_NE(a, b);
  EXPECT_NE(load_prompt({150, 0, 4}, 9), shared);
}

}  // namespace
}  // namespace nautile::app
