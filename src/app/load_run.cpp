#include "app/load_run.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <deque>
#include <optional>

#include "base/error.h"

namespace nautile::app {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kWatch{100};
// Descriptors beside the clients' sockets.
constexpr rlim_t kOwnDescriptors = 32;

void raise_descriptors(int clients) {
  rlimit files{};
  const rlim_t wanted = static_cast<rlim_t>(clients) + kOwnDescriptors;
  if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= wanted) return;
  const rlim_t before = files.rlim_cur;
  files.rlim_cur = std::min(files.rlim_max, wanted);
  if (files.rlim_cur < wanted || setrlimit(RLIMIT_NOFILE, &files) != 0) {
    throw make_error(ErrorKind::failure, "{} clients need {} open files, the system allows {}",
                     clients, wanted, std::max(before, files.rlim_max))
        .hint("`ulimit -n {}` raises it", wanted);
  }
}

std::string wire_text(const LoadPlan& plan, const LoadRequest& request) {
  std::string text =
      fmt::format("{} {}{} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", request.method,
                  plan.target.prefix, request.path, plan.target.authority());
  if (!plan.api_key.empty()) text += fmt::format("Authorization: Bearer {}\r\n", plan.api_key);
  if (!request.body.empty()) {
    text += fmt::format("Content-Type: application/json\r\nContent-Length: {}\r\n",
                        request.body.size());
  }
  return text + "\r\n" + request.body;
}

// What the clients share.
struct Load {
  explicit Load(const LoadPlan& the_plan) : plan(the_plan) {
    tcp::resolver resolver(io);
    error_code error;
    endpoints = resolver.resolve(plan.target.host, plan.target.port, error);
    if (error) {
      fail(ErrorKind::failure, "cannot find {}: {}", plan.target.authority(), error.message());
    }
    answers.resize(plan.requests.size());
  }
  double now() const { return std::chrono::duration<double>(Clock::now() - start).count(); }

  const LoadPlan& plan;
  asio::io_context io{1};
  tcp::resolver::results_type endpoints;
  Clock::time_point start = Clock::now();
  std::size_t next = 0, done = 0;
  std::vector<LoadAnswer> answers;
};

// One client. Stays where it is while the context runs.
class LoadClient {
 public:
  explicit LoadClient(Load& load) : load_(load), socket_(load.io), timer_(load.io) {}

  // Takes the next request, if there is one.
  void next() {
    if (load_.next == load_.plan.requests.size()) return;
    answer_ = &load_.answers[load_.next];
    out_ = wire_text(load_.plan, load_.plan.requests[load_.next++]);
    reader_.emplace(*answer_);
    answer_->begun = load_.now();
    deadline_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                   std::chrono::duration<double>(load_.plan.timeout));
    timer_.expires_at(deadline_);
    timer_.async_wait([this](const error_code&) { on_timer(); });
    socket_ = tcp::socket(load_.io);
    asio::async_connect(socket_, load_.endpoints, [this](const error_code& error, const auto&) {
      if (error) return finish(error.message());
      error_code ignored;
      socket_.set_option(tcp::no_delay(true), ignored);
      asio::async_write(socket_, asio::buffer(out_),
                        [this](const error_code&, std::size_t) { read(); });
    });
  }

 private:
  // Also where writing failed: a server may refuse before it has read all, and say why.
  void read() {
    socket_.async_read_some(asio::buffer(buffer_),
                            [this](const error_code& error, std::size_t bytes) {
                              try {
                                if (error == asio::error::eof) {
                                  reader_->end_of_input(load_.now());
                                  finish("");
                                } else if (error) {
                                  finish(error.message());
                                } else if (reader_->feed({buffer_.data(), bytes}, load_.now()) ==
                                           AnswerReader::State::whole) {
                                  finish("");
                                } else {
                                  read();
                                }
                              } catch (const Error& wrong) {
                                finish(wrong.message());
                              }
                            });
  }

  // The mark is there whether this wait was ended or ran out; only the latter is late.
  void on_timer() {
    if (answer_ == nullptr || Clock::now() < deadline_) return;
    late_ = true;
    error_code ignored;
    socket_.close(ignored);
  }

  void finish(const std::string& error) {
    if (!error.empty()) {
      answer_->error = late_ ? "no answer in time" : error;
      answer_->ended = load_.now();
    }
    answer_ = nullptr;
    late_ = false;
    timer_.cancel();
    error_code ignored;
    socket_.close(ignored);
    ++load_.done;
    next();
  }

  Load& load_;
  tcp::socket socket_;
  asio::steady_timer timer_;
  std::array<char, 16384> buffer_;
  std::string out_;
  LoadAnswer* answer_ = nullptr;  // null: nothing is asked
  std::optional<AnswerReader> reader_;
  Clock::time_point deadline_;
  bool late_ = false;
};

}  // namespace

std::string LoadTarget::authority() const {
  return host.find(':') == host.npos ? fmt::format("{}:{}", host, port)
                                     : fmt::format("[{}]:{}", host, port);
}

LoadTarget parse_target(const std::string& url) {
  constexpr std::string_view kScheme = "http://";
  if (url.starts_with("https://")) {
    throw make_error(ErrorKind::unsupported, "'{}': this client speaks http, not https", url)
        .hint("a proxy beside it that ends TLS can be measured through");
  }
  std::string rest = url.starts_with(kScheme) ? url.substr(kScheme.size()) : url;
  LoadTarget target;
  if (const std::size_t slash = rest.find('/'); slash != rest.npos) {
    target.prefix = rest.substr(slash);
    rest.erase(slash);
  }
  while (target.prefix.ends_with('/')) target.prefix.pop_back();
  if (target.prefix.ends_with("/v1")) target.prefix.resize(target.prefix.size() - 3);
  const std::size_t bracket = rest.starts_with('[') ? rest.find(']') : rest.npos;
  const std::size_t colon = rest.find(':', bracket == rest.npos ? 0 : bracket);
  target.port = colon == rest.npos ? "80" : rest.substr(colon + 1);
  target.host = rest.substr(0, colon);
  if (bracket != rest.npos) target.host = rest.substr(1, bracket - 1);
  const bool digits = !target.port.empty() && target.port.size() <= 5 &&
                      target.port.find_first_not_of("0123456789") == target.port.npos;
  if (target.host.empty() || !digits || url.find_first_of(" \t\r\n@?#") != url.npos) {
    fail(ErrorKind::usage, "'{}' is no address: expected http://HOST[:PORT]", url);
  }
  return target;
}

LoadRun run_load(const LoadPlan& plan, const std::function<void(std::size_t done)>& watch) {
  raise_descriptors(plan.clients);
  Load load(plan);
  std::deque<LoadClient> clients;  // declared after the context they use, and gone before it
  for (int i = 0; i < plan.clients; ++i) clients.emplace_back(load);
  load.start = Clock::now();
  for (LoadClient& client : clients) client.next();
  while (load.done < plan.requests.size()) {
    load.io.run_for(kWatch);
    load.io.restart();
    watch(load.done);
  }
  LoadRun run{std::move(load.answers), 0};
  for (const LoadAnswer& answer : run.answers) run.seconds = std::max(run.seconds, answer.ended);
  return run;
}

}  // namespace nautile::app
