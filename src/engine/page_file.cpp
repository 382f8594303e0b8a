#include "engine/page_file.h"

#include <xxhash.h>

#include <cstring>

namespace nautile::engine {
namespace {

constexpr std::string_view kMagic = "NAUTPAG1";

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// All of a file before the page.
std::string head_of(const PageOrigin& origin, std::size_t page_bytes) {
  std::string head(kMagic);
  put(head, static_cast<std::uint32_t>(origin.cache.size()));
  head += origin.cache;
  put(head, static_cast<std::uint32_t>(origin.user.size()));
  head += origin.user;
  put(head, static_cast<std::uint64_t>(origin.tokens.size()));
  head.append(reinterpret_cast<const char*>(origin.tokens.data()), origin.tokens.size_bytes());
  put(head, static_cast<std::uint64_t>(page_bytes));
  return head;
}

}  // namespace

std::string page_file(const PageOrigin& origin, std::span<const std::byte> page) {
  std::string file = head_of(origin, page.size());
  file.reserve(file.size() + page.size() + sizeof(std::uint64_t));
  file.append(reinterpret_cast<const char*>(page.data()), page.size());
  put(file, static_cast<std::uint64_t>(XXH3_64bits(file.data(), file.size())));
  return file;
}

// The only head that is right is known, so nothing in the file is believed.
std::optional<std::span<const std::byte>> page_in(std::span<const std::byte> file,
                                                  const PageOrigin& origin,
                                                  std::size_t page_bytes) {
  const std::string head = head_of(origin, page_bytes);
  std::uint64_t sum = 0;
  if (file.size() != head.size() + page_bytes + sizeof sum) return std::nullopt;
  if (std::memcmp(file.data(), head.data(), head.size()) != 0) return std::nullopt;
  std::memcpy(&sum, file.data() + file.size() - sizeof sum, sizeof sum);
  if (sum != XXH3_64bits(file.data(), file.size() - sizeof sum)) return std::nullopt;
  return file.subspan(head.size(), page_bytes);
}

}  // namespace nautile::engine
