#include "server/http_server.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <future>
#include <optional>
#include <thread>

#include "base/error.h"
#include "server/http_connection.h"

namespace nautile::server {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

// After accept() failed, as it does without free descriptors.
constexpr std::chrono::milliseconds kAcceptPause{100};
// What was answered may take so long to be written when the server stops.
constexpr std::chrono::seconds kLastBytes{1};

tcp::endpoint resolve(asio::io_context& io, const std::string& host, std::uint16_t port) {
  error_code error;
  tcp::resolver resolver(io);
  const auto found = resolver.resolve(host, std::to_string(port), tcp::resolver::passive, error);
  if (error || found.empty()) {
    fail(ErrorKind::failure, "cannot listen at {}: {}", host, error.message());
  }
  return found.begin()->endpoint();
}

std::string address_text(const tcp::endpoint& endpoint) {
  const std::string address = endpoint.address().to_string();
  return endpoint.address().is_v6() ? fmt::format("[{}]:{}", address, endpoint.port())
                                    : fmt::format("{}:{}", address, endpoint.port());
}

}  // namespace

struct HttpServer::Impl {
  Impl(const ServerOptions& options, Gate gate, Metrics& metrics, JsonLog& log)
      : shared(std::make_shared<Shared>(options.limits, std::move(gate), metrics, log)),
        strand(asio::make_strand(shared->io)),
        acceptor(strand),
        pause(strand),
        work(asio::make_work_guard(shared->io)) {
    shared->log_prompts = options.prompts == ServerOptions::Prompts::logged;
    if (!options.certificate.empty()) tls.emplace(options.certificate, options.key);
    listen(options);
    accept();
    for (int i = 0; i < options.threads; ++i) threads.emplace_back([this] { run(); });
  }

  void listen(const ServerOptions& options);
  void accept();
  void on_accept(const error_code& error, tcp::socket socket);
  std::shared_ptr<Connection> make_room();
  std::vector<std::shared_ptr<Connection>> connections();
  void run();

  const std::shared_ptr<Shared> shared;
  std::optional<TlsContext> tls;
  asio::strand<asio::io_context::executor_type> strand;  // of the acceptor
  tcp::acceptor acceptor;
  asio::steady_timer pause;
  asio::executor_work_guard<asio::io_context::executor_type> work;
  std::vector<std::thread> threads;
  tcp::endpoint local;
};

void HttpServer::Impl::listen(const ServerOptions& options) {
  const tcp::endpoint endpoint = resolve(shared->io, options.host, options.port);
  error_code error;
  const auto tried = [&](const char* doing) {
    if (error) {
      throw make_error(ErrorKind::failure, "cannot listen at {}: {} ({})", address_text(endpoint),
                       error.message(), doing)
          .hint("{}",
                error == asio::error::address_in_use
                    ? "another program listens there; --port chooses another, 0 any that is free"
                    : "--host and --port say where");
    }
  };
  acceptor.open(endpoint.protocol(), error);
  tried("open");
  acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  acceptor.bind(endpoint, error);
  tried("bind");
  acceptor.listen(asio::socket_base::max_listen_connections, error);
  tried("listen");
  local = acceptor.local_endpoint();
}

void HttpServer::Impl::accept() {
  acceptor.async_accept(
      asio::make_strand(shared->io),
      [this](const error_code& error, tcp::socket socket) { on_accept(error, std::move(socket)); });
}

void HttpServer::Impl::on_accept(const error_code& error, tcp::socket socket) {
  if (!acceptor.is_open()) return;
  if (error) {
    pause.expires_after(kAcceptPause);
    pause.async_wait([this](const error_code&) {
      if (acceptor.is_open()) accept();
    });
    return;
  }
  if (const auto waiting = make_room()) waiting->close_soon();
  std::make_shared<Connection>(make_stream(std::move(socket), tls ? &*tls : nullptr), shared)
      ->start();
  accept();
}

// With all places taken: whichever has waited longest without giving us work. If all are at work
// there is none, and the new connection comes on top: how many answers are under way is bounded by
// those who give them.
std::shared_ptr<Connection> HttpServer::Impl::make_room() {
  {
    const std::lock_guard lock(shared->mutex);
    if (shared->connections.size() < shared->limits.connections) return nullptr;
  }
  std::shared_ptr<Connection> longest;
  for (const auto& connection : connections()) {
    const Phase phase = connection->phase();
    if (phase == Phase::answering || phase == Phase::closed) continue;
    if (!longest || connection->since() < longest->since()) longest = connection;
  }
  return longest;
}

std::vector<std::shared_ptr<Connection>> HttpServer::Impl::connections() {
  const std::lock_guard lock(shared->mutex);
  std::vector<std::shared_ptr<Connection>> all;
  for (Connection* connection : shared->connections) {
    if (auto alive = connection->weak_from_this().lock()) all.push_back(std::move(alive));
  }
  return all;
}

void HttpServer::Impl::run() {
  for (;;) {
    try {
      shared->io.run();
      return;
    } catch (const std::exception& error) {
      shared->log.write("server_failed", {{"error", error.what()}});
    }
  }
}

HttpServer::HttpServer(const ServerOptions& options, Gate gate, Metrics& metrics, JsonLog& log)
    : impl_(std::make_unique<Impl>(options, std::move(gate), metrics, log)) {}

HttpServer::~HttpServer() {
  stop();
}

std::uint16_t HttpServer::port() const {
  return impl_->local.port();
}

std::string HttpServer::url() const {
  return (impl_->tls ? "https://" : "http://") + address_text(impl_->local);
}

void HttpServer::drain() {
  impl_->shared->draining = true;
  asio::post(impl_->strand, [impl = impl_.get()] {
    error_code ignored;
    impl->acceptor.close(ignored);
    impl->pause.cancel();
  });
}

bool HttpServer::wait_idle(double seconds) {
  Shared& shared = *impl_->shared;
  std::unique_lock lock(shared.mutex);
  return shared.idle.wait_for(lock, std::chrono::duration<double>(seconds),
                              [&] { return shared.answering == 0; });
}

void HttpServer::stop() {
  if (impl_->threads.empty()) return;
  drain();
  // A connection that was being accepted may come after the others were told.
  std::promise<void> closed;
  asio::post(impl_->strand, [&] { closed.set_value(); });
  closed.get_future().wait();
  for (const auto& connection : impl_->connections()) connection->finish_soon();
  {
    Shared& shared = *impl_->shared;
    std::unique_lock lock(shared.mutex);
    shared.idle.wait_for(lock, kLastBytes, [&] { return shared.connections.empty(); });
  }
  for (const auto& connection : impl_->connections()) connection->close_soon();
  impl_->work.reset();
  for (std::thread& thread : impl_->threads) thread.join();
  impl_->threads.clear();
}

HttpServer::Counts HttpServer::counts() const {
  const std::lock_guard lock(impl_->shared->mutex);
  return {static_cast<std::int64_t>(impl_->shared->connections.size()), impl_->shared->answering};
}

}  // namespace nautile::server
