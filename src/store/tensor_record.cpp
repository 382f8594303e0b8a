#include "store/tensor_record.h"

#include "base/error.h"

namespace nautile::store {

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

}  // namespace nautile::store
