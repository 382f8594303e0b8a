// sha256.h — Sha256: the checksum of files, in hex.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace nautile::app {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  void add(std::span<const std::byte> bytes);
  void add(std::string_view text);
  // One of them, once: 64 digits, or as browsers write it.
  std::string hex();
  std::string base64();

 private:
  std::string digest();
  struct Free {
    void operator()(void* context) const;
  };
  std::unique_ptr<void, Free> context_;
};

// Throws Error(failure) if the file cannot be read.
std::string sha256_of_file(const std::string& path);

}  // namespace nautile::app
