#include "app/sha256.h"

#include <openssl/evp.h>

#include "base/error.h"
#include "base/file.h"

namespace nautile::app {
namespace {

EVP_MD_CTX* of(void* context) {
  return static_cast<EVP_MD_CTX*>(context);
}

void check(int result) {
  if (result != 1) fail(ErrorKind::failure, "OpenSSL cannot compute SHA-256");
}

}  // namespace

void Sha256::Free::operator()(void* context) const {
  EVP_MD_CTX_free(of(context));
}

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  if (!context_) fail(ErrorKind::no_memory, "cannot allocate a checksum");
  check(EVP_DigestInit_ex(of(context_.get()), EVP_sha256(), nullptr));
}

Sha256::~Sha256() = default;

void Sha256::add(std::span<const std::byte> bytes) {
  check(EVP_DigestUpdate(of(context_.get()), bytes.data(), bytes.size()));
}

void Sha256::add(std::string_view text) {
  add(std::as_bytes(std::span(text)));
}

std::string Sha256::digest() {
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  check(EVP_DigestFinal_ex(of(context_.get()), bytes, &size));
  return {reinterpret_cast<const char*>(bytes), size};
}

std::string Sha256::hex() {
  std::string text;
  for (const char c : digest()) text += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return text;
}

std::string Sha256::base64() {
  const std::string bytes = digest();
  unsigned char text[4 * EVP_MAX_MD_SIZE / 3 + 4];
  const int size = EVP_EncodeBlock(text, reinterpret_cast<const unsigned char*>(bytes.data()),
                                   static_cast<int>(bytes.size()));
  return {reinterpret_cast<const char*>(text), static_cast<std::size_t>(size)};
}

std::string sha256_of_file(const std::string& path) {
  const MappedFile file(path);
  Sha256 sum;
  sum.add(file.bytes());
  return sum.hex();
}

}  // namespace nautile::app
