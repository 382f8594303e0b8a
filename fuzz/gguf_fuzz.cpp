// gguf_fuzz.cpp — libFuzzer: any bytes as a GGUF file.
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/error.h"
#include "store/gguf.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nautile::store;
  try {
    const GgufFile file = GgufFile::from_bytes(std::as_bytes(std::span(data, size)), "fuzz");
    std::uint64_t sum = 0;
    for (const TensorRecord& tensor : file.tensors()) {
      if (!tensor.data.empty())
        sum +=
            static_cast<unsigned>(tensor.data.front()) + static_cast<unsigned>(tensor.data.back());
      sum += static_cast<std::uint64_t>(tensor.shape.elements());
    }
    for (const auto& [key, value] : file.metadata()) sum += value.str().size();
    volatile std::uint64_t sink = sum;
    (void)sink;
  } catch (const nautile::Error&) {
  }
  return 0;
}
