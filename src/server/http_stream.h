// http_stream.h — Stream: the bytes of one connection, plain or through TLS. For the server's own
// sources: it brings Asio with it.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/system/error_code.hpp>
#include <functional>
#include <memory>
#include <string>

namespace nautile::server {

// Its calls and call-backs are made on the executor, a strand. One read and one write may be under
// way at a time.
class Stream {
 public:
  using Done = std::function<void(boost::system::error_code, std::size_t bytes)>;

  virtual ~Stream() = default;
  virtual boost::asio::any_io_executor executor() = 0;
  virtual void handshake(std::function<void(boost::system::error_code)> done) = 0;
  virtual void read(char* bytes, std::size_t size, Done done) = 0;
  virtual void write(const char* bytes, std::size_t size, Done done) = 0;
  // No more is written; what the other side still sends is read.
  virtual void end_writing() = 0;
  virtual void close() = 0;
  // Whether the other side has closed its way to us, though there are bytes of it that nobody has
  // read yet.
  virtual bool peer_closed() = 0;
};

// Certificates and keys of TLS; null for none.
class TlsContext {
 public:
  // PEM files: a chain and its key. TLS 1.2 and 1.3, ALPN http/1.1. Throws Error(failure), naming
  // the file and OpenSSL's reason.
  TlsContext(const std::string& certificate_path, const std::string& key_path);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  friend std::unique_ptr<Stream> make_stream(boost::asio::ip::tcp::socket socket, TlsContext* tls);
};

// The stream of an accepted socket; `tls` null: plain. Sets the socket's options.
std::unique_ptr<Stream> make_stream(boost::asio::ip::tcp::socket socket, TlsContext* tls);

}  // namespace nautile::server
