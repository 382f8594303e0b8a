// HttpServer through TLS, with a certificate made for the test.
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <filesystem>

#include "server/http_testing.h"

namespace nautile::server {
namespace {

namespace fs = std::filesystem;

// A key and a certificate of its own for "localhost", as PEM files.
class Certificate {
 public:
  explicit Certificate(const std::string& name, std::string passphrase = "")
      : folder_(fs::temp_directory_path() / fmt::format("nautile_tls_{}_{}", name, getpid())) {
    fs::create_directories(folder_);
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* certificate = X509_new();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME* subject = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
    X509_set_issuer_name(certificate, subject);
    X509_sign(certificate, key, EVP_sha256());
    std::FILE* file = std::fopen(key_path().c_str(), "w");
    PEM_write_PrivateKey(file, key, passphrase.empty() ? nullptr : EVP_aes_128_cbc(), nullptr, 0,
                         nullptr, passphrase.empty() ? nullptr : passphrase.data());
    std::fclose(file);
    file = std::fopen(certificate_path().c_str(), "w");
    PEM_write_X509(file, certificate);
    std::fclose(file);
    X509_free(certificate);
    EVP_PKEY_free(key);
  }
  ~Certificate() { fs::remove_all(folder_); }

  std::string key_path() const { return (folder_ / "key.pem").string(); }
  std::string certificate_path() const { return (folder_ / "certificate.pem").string(); }

 private:
  fs::path folder_;
};

struct Free {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};

// One request through TLS; protocols as ALPN writes them -> what came, or "no handshake".
std::string ask(std::uint16_t port, const std::string& request, const std::string& protocols,
                int version) {
  Client socket(port);
  std::unique_ptr<SSL_CTX, Free> context(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_min_proto_version(context.get(), version);
  SSL_CTX_set_max_proto_version(context.get(), version);
  SSL_CTX_set_options(context.get(), SSL_OP_IGNORE_UNEXPECTED_EOF);
  std::unique_ptr<SSL, Free> ssl(SSL_new(context.get()));
  if (!protocols.empty()) {
    SSL_set_alpn_protos(ssl.get(), reinterpret_cast<const unsigned char*>(protocols.data()),
                        static_cast<unsigned>(protocols.size()));
  }
  SSL_set_fd(ssl.get(), socket.descriptor());
  if (SSL_connect(ssl.get()) != 1) return "no handshake";
  SSL_write(ssl.get(), request.data(), static_cast<int>(request.size()));
  std::string answer;
  char bytes[4096];
  for (int got = 0; (got = SSL_read(ssl.get(), bytes, sizeof bytes)) > 0;) {
    answer.append(bytes, static_cast<std::size_t>(got));
  }
  // A close that was said is no cut.
  if (SSL_get_error(ssl.get(), 0) == SSL_ERROR_ZERO_RETURN) answer += "[closed]";
  return answer;
}

ServerOptions with(const Certificate& certificate) {
  ServerOptions options;
  options.certificate = certificate.certificate_path();
  options.key = certificate.key_path();
  return options;
}

TEST(HttpTls, AnswersAndChoosesTheProtocol) {
  const Certificate certificate("plain");
  Served served({{"POST", "/echo", echo_handler()}}, with(certificate));
  EXPECT_EQ(served.http.url().substr(0, 8), "https://");
  const std::string body(200'000, 'x');
  const std::string request = fmt::format(
      "POST /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{}",
      body.size(), body);
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    for (const std::string& protocols :
         {std::string(), std::string("\x08http/1.1"), std::string("\x02h2\x08http/1.1")}) {
      const std::string answer = ask(served.http.port(), request, protocols, version);
      EXPECT_EQ(answer.substr(0, 15), "HTTP/1.1 200 OK") << version << protocols;
      EXPECT_NE(answer.find("POST /echo " + body), std::string::npos);
      EXPECT_TRUE(answer.ends_with("[closed]"));
    }
    EXPECT_EQ(ask(served.http.port(), request, "\x02h2", version), "no handshake");
  }
  EXPECT_EQ(ask(served.http.port(), request, "", TLS1_1_VERSION), "no handshake");
}

TEST(HttpTls, PlainAndSilentClients) {
  const Certificate certificate("silent");
  Holder holder;
  ServerOptions options = with(certificate);
  options.limits.head_seconds = 0.3;
  Served served({{"POST", "/hold", holder.handler()}}, options);
  Client plain = served.client(), silent = served.client();
  plain.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_EQ(plain.rest().find("HTTP"), std::string::npos);
  EXPECT_EQ(silent.rest(), "");
}

TEST(HttpTls, WrongFiles) {
  const Certificate one("one"), two("two");
  const auto error_of = [&](const std::string& certificate, const std::string& key) {
    ServerOptions options;
    options.certificate = certificate;
    options.key = key;
    try {
      Served served({}, options);
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  EXPECT_NE(error_of("/nonexistent.pem", one.key_path())
                .find("/nonexistent.pem: No such file or directory"),
            std::string::npos);
  EXPECT_NE(error_of(one.certificate_path(), "/nonexistent.pem").find("/nonexistent.pem"),
            std::string::npos);
  EXPECT_NE(error_of(one.certificate_path(), two.key_path()).find("mismatch"), std::string::npos);
  EXPECT_NE(error_of(one.key_path(), one.key_path()).find("cannot use the certificate"),
            std::string::npos);
  // OpenSSL would ask for it at the terminal, and the program wait.
  const Certificate locked("locked", "sesame");
  EXPECT_NE(error_of(locked.certificate_path(), locked.key_path()).find("it has a passphrase"),
            std::string::npos);
}

}  // namespace
}  // namespace nautile::server
