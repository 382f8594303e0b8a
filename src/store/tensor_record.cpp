#include "store/tensor_record.h"

#include <fmt/format.h>

#include "base/error.h"

namespace nautile::store {
namespace {

// Length of the well-formed UTF-8 sequence at the start of `text`; 0 if there is none.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  return length;
}

}  // namespace

Format require_format(const TensorRecord& record) {
  if (record.format) return *record.format;
  fail(ErrorKind::unsupported, "tensor {} has type {}, which nautile does not compute on (in {})",
       printable(record.name), record.dtype, record.file);
}

std::optional<std::uint64_t> safe_elements(std::span<const std::uint64_t> extents) {
  constexpr std::uint64_t kMost = std::uint64_t{1} << 62;
  std::uint64_t product = 1;
  bool empty = false;
  for (std::uint64_t extent : extents) {
    empty |= extent == 0;
    if (extent > 1 && product > kMost / extent) return std::nullopt;
    if (extent > 1) product *= extent;
  }
  return empty ? 0 : product;
}

std::string printable(std::string_view text, std::size_t limit) {
  std::string out;
  while (!text.empty() && out.size() < limit) {
    const unsigned char lead = static_cast<unsigned char>(text[0]);
    const std::size_t length = utf8_length(text);
    if (length == 0 || lead < 0x20 || lead == 0x7f) {
      out += fmt::format("\\x{:02x}", lead);
      text.remove_prefix(1);
    } else {
      out += text.substr(0, length);
      text.remove_prefix(length);
    }
  }
  if (!text.empty()) out += fmt::format("… ({} more bytes)", text.size());
  return out;
}

}  // namespace nautile::store
