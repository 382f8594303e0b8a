// page_file.h — PageFile: one page of a prefix as a file, with all that tells whose it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace nautile::engine {

// What a page's rows follow from.
struct PageOrigin {
  std::string_view cache;  // model, numbers and format: see PageDisk
  std::string_view user;
  std::span<const std::int32_t> tokens;  // all up to the page's end
};

// Little-endian. "NAUTPAG1" · u32 length and bytes of the cache's name · u32 length and bytes of
// the user's · u64 tokens · i32 × tokens · u64 bytes of the page · the page · u64 XXH3 of all
// before it.
std::string page_file(const PageOrigin& origin, std::span<const std::byte> page);

// The page in a file's bytes; none if they are damaged or of another origin or size.
std::optional<std::span<const std::byte>> page_in(std::span<const std::byte> file,
                                                  const PageOrigin& origin, std::size_t page_bytes);

}  // namespace nautile::engine
