#include "server/api_keys.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "base/error.h"
#include "base/strings.h"

namespace nautile::server {
namespace {

constexpr std::size_t kShortest = 8;

std::array<unsigned char, 32> digest_of(std::string_view text) {
  std::array<unsigned char, 32> digest;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return digest;
}

bool printable(std::string_view text) {
  for (const char c : text) {
    if (c <= ' ' || c > '~') return false;
  }
  return true;
}

}  // namespace

void ApiKeys::add(std::string_view text, std::string_view what) {
  const std::size_t before = keys_.size();
  std::size_t line = 1;
  for (std::size_t begin = 0; begin <= text.size();) {
    std::size_t end = std::min(text.find_first_of("\n,", begin), text.size());
    const std::string_view entry = trimmed(text.substr(begin, end - begin));
    if (!entry.empty() && entry.front() != '#') add_one(entry, what, line);
    // A comma in a comment begins no key.
    if (entry.starts_with('#')) end = std::min(text.find('\n', begin), text.size());
    if (end < text.size() && text[end] == '\n') ++line;
    begin = end + 1;
  }
  if (keys_.size() == before) {
    throw make_error(ErrorKind::usage, "{} has no API key", what).hint("one a line: name:key");
  }
}

void ApiKeys::add_one(std::string_view entry, std::string_view what, std::size_t line) {
  const std::size_t colon = entry.find(':');
  Key key;
  key.name = colon == std::string_view::npos ? fmt::format("key-{}", keys_.size() + 1)
                                             : std::string(entry.substr(0, colon));
  const std::string_view secret = colon == std::string_view::npos ? entry : entry.substr(colon + 1);
  if (secret.size() < kShortest || !printable(secret) || key.name.empty() || !printable(key.name)) {
    fail(ErrorKind::usage,
         "{}, line {}: expected 'name:key' or 'key', of printable ASCII without blanks, the key of "
         "{} characters or more",
         what, line, kShortest);
  }
  key.digest = digest_of(secret);
  for (const Key& other : keys_) {
    if (other.name == key.name) {
      fail(ErrorKind::usage, "{}, line {}: the name '{}' is there twice", what, line, key.name);
    }
    if (other.digest == key.digest) {
      fail(ErrorKind::usage, "{}, line {}: this key is there twice, as '{}'", what, line,
           other.name);
    }
  }
  keys_.push_back(std::move(key));
}

const std::string* ApiKeys::find(std::string_view shown) const {
  // All keys are compared, and digests byte by byte to their end: time tells nothing about either.
  const Digest digest = digest_of(shown);
  const std::string* found = nullptr;
  for (const Key& key : keys_) {
    if (CRYPTO_memcmp(digest.data(), key.digest.data(), digest.size()) == 0) found = &key.name;
  }
  return found;
}

}  // namespace nautile::server
