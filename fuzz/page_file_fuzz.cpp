// page_file_fuzz.cpp — arbitrary bytes as the file of a cached page, and whole files with a changed
// byte.
#include <cstdlib>
#include <vector>

#include "engine/page_file.h"

using namespace nautile::engine;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::byte> bytes(reinterpret_cast<const std::byte*>(data), size);
  const std::vector<std::int32_t> tokens = {1, 2, 3, 4};
  const PageOrigin origin{"tiny BF16", "user", tokens};
  // A page of 16 bytes, as the seeds hold.
  if (const auto page = page_in(bytes, origin, 16)) {
    if (page->size() != 16) std::abort();
  }
  const std::string whole = page_file(origin, bytes);
  const auto as_bytes = [](const std::string& text) { return std::as_bytes(std::span(text)); };
  const auto back = page_in(as_bytes(whole), origin, size);
  if (!back || !std::equal(back->begin(), back->end(), bytes.begin(), bytes.end())) std::abort();
  if (page_in(as_bytes(whole), origin, size + 1)) std::abort();
  std::string changed = whole;
  const std::size_t at = size == 0 ? 0 : data[0] * whole.size() / 256;
  changed[at] = static_cast<char>(changed[at] ^ 0x10);
  if (page_in(as_bytes(changed), origin, size)) std::abort();
  return 0;
}
