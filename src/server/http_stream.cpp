#include "server/http_stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl.hpp>
#include <cstring>
#include <string_view>

#include "base/error.h"

namespace nautile::server {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Socket = asio::ip::tcp::socket;

// What the kernel holds for a client that does not read, besides Limits::unread_bytes.
constexpr int kSendBuffer = 256 << 10;

bool closed_by_peer(Socket& socket) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (getsockopt(socket.native_handle(), IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return true;
  return info.tcpi_state != TCP_ESTABLISHED;
}

void set_options(Socket& socket) {
  const auto set = [&](int level, int name, int value) {
    setsockopt(socket.native_handle(), level, name, &value, sizeof value);
  };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(SOL_SOCKET, SO_SNDBUF, kSendBuffer);
  // A machine that vanished says nothing: asked after 30 s, given up after three more times.
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 30);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 10);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
}

class PlainStream : public Stream {
 public:
  explicit PlainStream(Socket socket) : socket_(std::move(socket)) {}

  asio::any_io_executor executor() override { return socket_.get_executor(); }
  void handshake(std::function<void(error_code)> done) override {
    done({});  // there is none
  }
  void read(char* bytes, std::size_t size, Done done) override {
    socket_.async_read_some(asio::buffer(bytes, size), std::move(done));
  }
  void write(const char* bytes, std::size_t size, Done done) override {
    socket_.async_write_some(asio::buffer(bytes, size), std::move(done));
  }
  void end_writing() override {
    error_code ignored;
    socket_.shutdown(Socket::shutdown_send, ignored);
  }
  void close() override {
    error_code ignored;
    socket_.close(ignored);
  }
  bool peer_closed() override { return closed_by_peer(socket_); }

 private:
  Socket socket_;
};

class TlsStream : public Stream {
 public:
  TlsStream(Socket socket, asio::ssl::context& context)
      : stream_(std::make_shared<asio::ssl::stream<Socket>>(std::move(socket), context)) {}

  asio::any_io_executor executor() override { return stream_->get_executor(); }
  void handshake(std::function<void(error_code)> done) override {
    stream_->async_handshake(asio::ssl::stream_base::server, std::move(done));
  }
  void read(char* bytes, std::size_t size, Done done) override {
    stream_->async_read_some(asio::buffer(bytes, size), std::move(done));
  }
  void write(const char* bytes, std::size_t size, Done done) override {
    stream_->async_write_some(asio::buffer(bytes, size), std::move(done));
  }
  void end_writing() override {
    // Says close_notify, so that the other side can tell an end from a cut.
    stream_->async_shutdown([stream = stream_](error_code) {});
  }
  void close() override {
    error_code ignored;
    stream_->next_layer().close(ignored);
  }
  bool peer_closed() override { return closed_by_peer(stream_->next_layer()); }

 private:
  std::shared_ptr<asio::ssl::stream<Socket>> stream_;
};

// The first thing that went wrong, without OpenSSL's numbers.
std::string openssl_reason() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "no reason given";
  if (ERR_SYSTEM_ERROR(code)) return std::strerror(ERR_GET_REASON(code));
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : fmt::format("OpenSSL error {:08x}", code);
}

// Instead of OpenSSL's own, which asks at the terminal and waits: there is no passphrase.
int note_passphrase(char*, int, int, void* wanted) {
  *static_cast<bool*>(wanted) = true;
  return -1;
}

void use_key(SSL_CTX* context, const std::string& key, const std::string& certificate) {
  bool passphrase = false;
  SSL_CTX_set_default_passwd_cb(context, note_passphrase);
  SSL_CTX_set_default_passwd_cb_userdata(context, &passphrase);
  const bool used = SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) == 1;
  SSL_CTX_set_default_passwd_cb_userdata(context, nullptr);
  SSL_CTX_set_default_passwd_cb(context, nullptr);
  if (passphrase) {
    throw make_error(ErrorKind::failure, "cannot use the key {}: it has a passphrase", key)
        .hint("`openssl pkey -in {} -out FILE` writes it without one", key);
  }
  if (used) return;
  throw make_error(ErrorKind::failure, "cannot use the key {} with the certificate {}: {}", key,
                   certificate, openssl_reason())
      .hint("expected a PEM file with the private key of that certificate");
}

// The client offers protocols, each with a byte of its length before it; http/1.1 is spoken here.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size,
                    const unsigned char* offered, unsigned int size, void*) {
  static constexpr std::string_view kOurs = "http/1.1";
  for (unsigned int at = 0; at < size; at += 1U + offered[at]) {
    const std::string_view name(reinterpret_cast<const char*>(offered) + at + 1, offered[at]);
    if (name != kOurs) continue;
    *out = offered + at + 1;
    *out_size = offered[at];
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

}  // namespace

struct TlsContext::Impl {
  asio::ssl::context context{asio::ssl::context::tls_server};
};

TlsContext::TlsContext(const std::string& certificate_path, const std::string& key_path)
    : impl_(std::make_unique<Impl>()) {
  SSL_CTX* context = impl_->context.native_handle();
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_alpn_select_cb(context, choose_protocol, nullptr);
  ERR_clear_error();
  if (SSL_CTX_use_certificate_chain_file(context, certificate_path.c_str()) != 1) {
    throw make_error(ErrorKind::failure, "cannot use the certificate {}: {}", certificate_path,
                     openssl_reason())
        .hint("expected a PEM file, the server's certificate first");
  }
  use_key(context, key_path, certificate_path);
}

TlsContext::~TlsContext() = default;

std::unique_ptr<Stream> make_stream(Socket socket, TlsContext* tls) {
  set_options(socket);
  if (tls == nullptr) return std::make_unique<PlainStream>(std::move(socket));
  return std::make_unique<TlsStream>(std::move(socket), tls->impl_->context);
}

}  // namespace nautile::server
