// api_keys.h — ApiKeys: who may ask, by the keys they show.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nautile::server {

// Keeps digests, not keys. Immutable once filled; safe for concurrent use.
class ApiKeys {
 public:
  // Lines (or parts between commas) "name:key" or "key", which gets a name of its own ("key-1");
  // empty ones and those that begin with '#' are skipped. Throws Error(usage), naming `what` and
  // the line but not the key: none given, a key or name twice, blanks or control characters, fewer
  // than 8 characters in a key.
  void add(std::string_view text, std::string_view what);

  bool empty() const { return keys_.empty(); }
  // The name of a key, or null. Takes the same time whatever is shown, but for its length.
  const std::string* find(std::string_view shown) const;

 private:
  using Digest = std::array<unsigned char, 32>;  // SHA-256
  struct Key {
    std::string name;
    Digest digest;
  };
  void add_one(std::string_view entry, std::string_view what, std::size_t line);

  std::vector<Key> keys_;
};

}  // namespace nautile::server
