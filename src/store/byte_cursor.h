// byte_cursor.h — ByteCursor: reads little-endian fields from foreign bytes, never past their end.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

#include "base/error.h"

namespace nautile::store {

static_assert(std::endian::native == std::endian::little, "weights are mapped as they lie");

// A position in a span of bytes. Every read names what it reads; a read past the end throws
// Error(bad_input) with the byte offset. The bytes outlive the cursor and what it returns.
class ByteCursor {
 public:
  explicit ByteCursor(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::uint64_t offset() const { return at_; }
  std::uint64_t remaining() const { return bytes_.size() - at_; }

  template <class T>
  T number(std::string_view what) {
    static_assert(std::is_arithmetic_v<T>);
    T value;
    std::memcpy(&value, raw(sizeof(T), what).data(), sizeof(T));
    return value;
  }

  // The next `size` bytes.
  std::span<const std::byte> raw(std::uint64_t size, std::string_view what) {
    if (size > remaining()) {
      fail(ErrorKind::bad_input, "at byte {}: {} needs {} bytes, the file has {} left", at_, what,
           size, remaining());
    }
    const auto found = bytes_.subspan(at_, static_cast<std::size_t>(size));
    at_ += static_cast<std::size_t>(size);
    return found;
  }

  // A u64 length and as many bytes.
  std::string_view string(std::string_view what, std::uint64_t most) {
    const std::uint64_t start = at_;
    const auto length = number<std::uint64_t>(what);
    if (length > most) {
      fail(ErrorKind::bad_input, "at byte {}: {} has length {}, at most {} is allowed", start, what,
           length, most);
    }
    const auto found = raw(length, what);
    return {reinterpret_cast<const char*>(found.data()), found.size()};
  }

  // A u64 count of things of at least `least_bytes` each: refused here, before anything is
  // allocated, if the file cannot hold them.
  std::uint64_t count(std::string_view what, std::uint64_t least_bytes) {
    const std::uint64_t start = at_;
    const auto found = number<std::uint64_t>(what);
    check_count(found, start, what, least_bytes);
    return found;
  }

  void check_count(std::uint64_t found, std::uint64_t start, std::string_view what,
                   std::uint64_t least_bytes) const {
    if (found > remaining() / least_bytes) {
      fail(ErrorKind::bad_input, "at byte {}: {} is {}, but the {} bytes left hold at most {}",
           start, what, found, remaining(), remaining() / least_bytes);
    }
  }

 private:
  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
};

}  // namespace nautile::store
