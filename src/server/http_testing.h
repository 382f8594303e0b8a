// http_testing.h — a server with handlers of a test's own, and a client that speaks raw bytes.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "server/http_server.h"

namespace nautile::server {

inline double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Waits until `done()` or five seconds have gone -> whether it came.
template <class Done>
bool comes(const Done& done, double seconds = 5) {
  for (const double start = seconds_now(); seconds_now() - start < seconds;) {
    if (done()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return done();
}

struct Response {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // chunks joined
  bool whole = false;                          // it came to its end
};

// A blocking socket; reads give up after `patience` seconds.
class Client {
 public:
  explicit Client(std::uint16_t port, double patience = 10, int receive_buffer = 0)
      : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const timeval time{static_cast<time_t>(patience),
                       static_cast<suseconds_t>((patience - static_cast<int>(patience)) * 1e6)};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
    setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
    const int on = 1;
    setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (receive_buffer > 0) {
      setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~Client() { leave(); }
  Client(Client&& other) noexcept
      : socket_(std::exchange(other.socket_, -1)),
        connected_(other.connected_),
        input_(std::move(other.input_)) {}
  Client& operator=(Client&&) = delete;

  int descriptor() const { return socket_; }
  bool connected() const { return connected_; }
  void leave() {
    if (socket_ >= 0) close(socket_);
    socket_ = -1;
  }
  void end_sending() { shutdown(socket_, SHUT_WR); }

  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  // More bytes -> false at the end, on a reset, or when patience is over.
  bool receive() {
    char bytes[65536];
    const ssize_t got = recv(socket_, bytes, sizeof bytes, 0);
    if (got <= 0) return false;
    input_.append(bytes, static_cast<std::size_t>(got));
    return true;
  }
  // Waits for `text` in what has not been taken.
  bool sees(std::string_view text) {
    while (input_.find(text) == std::string::npos) {
      if (!receive()) return false;
    }
    return true;
  }
  // Reads to the end of the connection -> all of it.
  std::string rest() {
    while (receive()) {
    }
    return std::exchange(input_, {});
  }
  const std::string& input() const { return input_; }

  // The next response; `method` HEAD has no body.
  Response response(std::string_view method = "GET") {
    Response response;
    if (!sees("\r\n\r\n")) return response;
    const std::size_t end = input_.find("\r\n\r\n");
    const std::string head = input_.substr(0, end + 2);
    input_.erase(0, end + 4);
    response.status = std::stoi(head.substr(9, 3));
    for (std::size_t at = head.find("\r\n") + 2; at < head.size();) {
      const std::size_t stop = head.find("\r\n", at), colon = head.find(": ", at);
      std::string name = head.substr(at, colon - at);
      for (char& c : name) c = static_cast<char>(std::tolower(c));
      response.headers[name] = head.substr(colon + 2, stop - colon - 2);
      at = stop + 2;
    }
    if (method == "HEAD" || response.status == 204 || response.status == 304 ||
        response.status < 200) {
      response.whole = true;
    } else if (response.headers.contains("transfer-encoding")) {
      response.whole = read_chunks(response.body);
    } else if (response.headers.contains("content-length")) {
      const std::size_t size = std::stoul(response.headers["content-length"]);
      while (input_.size() < size && receive()) {
      }
      response.whole = input_.size() >= size;
      response.body = input_.substr(0, size);
      input_.erase(0, size);
    } else {
      response.body = rest();
      response.whole = true;
    }
    return response;
  }

  Response get(const std::string& path, const std::string& headers = "") {
    send("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n" + headers + "\r\n");
    return response();
  }

 private:
  bool read_chunks(std::string& body) {
    for (;;) {
      if (!sees("\r\n")) return false;
      const std::size_t line = input_.find("\r\n");
      const std::size_t size = std::stoul(input_.substr(0, line), nullptr, 16);
      while (input_.size() < line + 2 + size + 2) {
        if (!receive()) return false;
      }
      body += input_.substr(line + 2, size);
      input_.erase(0, line + 2 + size + 2);
      if (size == 0) return true;
    }
  }

  int socket_;
  bool connected_ = false;
  std::string input_;
};

// A server at a free port of this machine.
struct Served {
  explicit Served(std::vector<Endpoint> endpoints, const ServerOptions& options = {},
                  GateOptions gate = {})
      : http(options, Gate(std::move(endpoints), std::move(gate)), metrics, log) {}

  Client client(double patience = 10) const { return Client(http.port(), patience); }

  Metrics metrics;
  JsonLog log{-1};
  HttpServer http;
};

// Answers at once with what was asked: "POST /x?q body".
inline Handler echo_handler() {
  return [](const HttpRequest& request, const std::shared_ptr<HttpReply>& reply) {
    reply->send(200, "text/plain",
                fmt::format("{} {}{}{} {}", request.method, request.path,
                            request.query.empty() ? "" : "?", request.query, request.body));
  };
}

// Keeps the replies it was given, and counts the clients that have left.
class Holder {
 public:
  Handler handler() {
    return [this](const HttpRequest&, const std::shared_ptr<HttpReply>& reply) {
      reply->on_gone([this] {
        const std::lock_guard lock(mutex_);
        ++gone_;
        gone_at_ = seconds_now();
      });
      const std::lock_guard lock(mutex_);
      replies_.push_back(reply);
    };
  }
  std::vector<std::shared_ptr<HttpReply>> replies() const {
    const std::lock_guard lock(mutex_);
    return replies_;
  }
  std::shared_ptr<HttpReply> wait_for_reply(std::size_t index = 0) const {
    comes([&] { return replies().size() > index; });
    return replies().at(index);
  }
  void forget() {
    std::vector<std::shared_ptr<HttpReply>> replies;
    const std::lock_guard lock(mutex_);
    replies.swap(replies_);
  }
  int gone() const {
    const std::lock_guard lock(mutex_);
    return gone_;
  }
  double gone_at() const {
    const std::lock_guard lock(mutex_);
    return gone_at_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<HttpReply>> replies_;
  int gone_ = 0;
  double gone_at_ = 0;
};

}  // namespace nautile::server
