// http_reply.h — Reply: the HttpReply of a Connection. For the server's own sources.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "server/http_connection.h"

namespace nautile::server {

class Reply : public HttpReply {
 public:
  Reply(std::shared_ptr<Connection> connection, const RequestFacts& facts);
  // What has not been answered becomes a 500; a stream that has not ended is cut off.
  ~Reply() override;

  void send(int status, std::string_view content_type, std::string body, Headers headers) override;
  void begin(int status, std::string_view content_type, Headers headers) override;
  bool write(std::string_view bytes) override;
  void end() override;
  void on_gone(std::function<void()> gone) override;
  void keep_alive(double seconds, std::string comment) override;

  // The client is gone, says the connection. Tells the handler if the answer has not ended.
  void left();
  // Writes the comment if nothing was written for its time -> when to ask again.
  Clock::time_point pulse(Clock::time_point now);

 private:
  enum class State : std::uint8_t { waiting, streaming, ended, gone };

  std::string head(int status, std::string_view content_type, const Headers& headers) const;
  void send_locked(int status, std::string_view content_type, std::string_view body,
                   const Headers& headers);
  bool write_locked(std::string_view bytes);
  Connection::After after() const;

  const std::shared_ptr<Connection> connection_;
  const std::string id_;
  const Headers extra_;
  const int minor_;
  const bool head_only_;

  mutable std::mutex mutex_;  // of what follows
  State state_ = State::waiting;
  bool keep_alive_;
  int status_ = 0;
  std::function<void()> on_gone_;
  double pulse_seconds_ = 0;
  std::string pulse_text_;
  Clock::time_point last_write_;
};

}  // namespace nautile::server
