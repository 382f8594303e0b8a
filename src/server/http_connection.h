// http_connection.h — Connection: one client, from its first byte to its last. For the server's own
// sources.
#pragma once

#include <array>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

#include "server/gate.h"
#include "server/http_stream.h"
#include "server/json_log.h"
#include "server/limits.h"
#include "server/metrics.h"
#include "server/outbox.h"
#include "server/request_facts.h"
#include "server/request_parser.h"

namespace nautile::server {

class Connection;
class Reply;

// What a server and its connections share; the last of them ends it.
struct Shared {
  Shared(const Limits& table, Gate let_in, Metrics& numbers, JsonLog& lines)
      : limits(table), gate(std::move(let_in)), metrics(numbers), log(lines) {}

  const Limits limits;
  const Gate gate;
  Metrics& metrics;  // these two are not used any more once the server has stopped
  JsonLog& log;
  bool log_prompts = false;
  boost::asio::io_context io;
  std::atomic<bool> draining{false};

  std::mutex mutex;              // of what follows
  std::condition_variable idle;  // `answering` is 0, or `connections` empty
  std::set<Connection*> connections;
  std::int64_t answering = 0;
};

// How far a connection is. Changes on its strand; read from anywhere.
enum class Phase : std::uint8_t {
  waiting,    // for a request's first byte
  head,       // of a request, begun
  body,       // of a request
  answering,  // a handler has the request
  lingering,  // all is said; what comes in is thrown away
  closed,
};

// Made by make_shared; keeps itself alive while something is pending.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::unique_ptr<Stream> stream, std::shared_ptr<Shared> shared);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Each of these may be called from any thread.
  void start();
  void close_soon();
  // Closes when all is written that was answered; cuts off what has not been answered to its end.
  void finish_soon();
  // False if the client is gone or the bound is exceeded, which ends the connection.
  bool push(std::string_view bytes, Outbox::Bound bound);
  enum class After : std::uint8_t { keep, close, abort };
  void answered(int status, After after);
  void pulse_every(double seconds);
  Phase phase() const { return phase_; }
  Clock::time_point since() const { return Clock::time_point(Clock::duration(since_)); }
  const Shared& shared() const { return *shared_; }

 private:
  // On the strand from here on.
  void read_more();
  void on_read(const boost::system::error_code& error, std::size_t bytes);
  void advance();
  bool feed();
  bool on_head();
  void on_body_bytes();
  void dispatch();
  void call_handler(const HttpRequest& request, const std::shared_ptr<Reply>& reply);
  void refuse(const Refusal& refusal);
  std::shared_ptr<Reply> begin_answer();
  void finish(int status);
  void flush();
  void on_written(const boost::system::error_code& error, std::size_t bytes);
  void on_flushed();
  void client_left(const boost::system::error_code& error);
  void linger();
  void close();
  void forget();
  void enter(Phase phase);
  void set_deadline(double seconds);
  void arm();
  void on_timer();
  void on_deadline();

  const std::shared_ptr<Shared> shared_;
  const std::unique_ptr<Stream> stream_;
  std::atomic<Phase> phase_{Phase::waiting};
  std::atomic<Clock::rep> since_;

  // In: what has been read and not been parsed, and the request that is being read.
  std::array<char, 8192> buffer_;
  std::string input_;
  bool reading_ = false;
  RequestParser parser_;
  bool decided_ = false;  // the gate has seen its head
  Gate::Decision decision_;
  Clock::time_point request_start_, body_start_;

  // The request that is being answered.
  std::weak_ptr<Reply> reply_;
  RequestFacts facts_;
  double pulse_seconds_ = 0;
  bool close_after_ = false;  // when all is written

  Outbox outbox_;

  boost::asio::steady_timer timer_;
  Clock::time_point deadline_ = Clock::time_point::max();        // of the phase
  Clock::time_point write_deadline_ = Clock::time_point::max();  // for the client to take a byte
  Clock::time_point armed_ = Clock::time_point::max();           // when the timer goes off
};

}  // namespace nautile::server
