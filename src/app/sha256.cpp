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

std::string Sha256::hex() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  check(EVP_DigestFinal_ex(of(context_.get()), digest, &size));
  std::string text;
  for (unsigned i = 0; i < size; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

std::string sha256_of_file(const std::string& path) {
  const MappedFile file(path);
  Sha256 sum;
  sum.add(file.bytes());
  return sum.hex();
}

}  // namespace nautile::app
