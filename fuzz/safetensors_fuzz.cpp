// safetensors_fuzz.cpp — libFuzzer: any bytes as a safetensors file.
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/error.h"
#include "store/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nautile::store;
  try {
    const SafetensorsFile file =
        SafetensorsFile::from_bytes(std::as_bytes(std::span(data, size)), "fuzz");
    std::uint64_t sum = file.notes().size();
    for (const TensorRecord& tensor : file.tensors()) {
      if (!tensor.data.empty())
        sum +=
            static_cast<unsigned>(tensor.data.front()) + static_cast<unsigned>(tensor.data.back());
      sum += static_cast<std::uint64_t>(tensor.shape.elements());
    }
    volatile std::uint64_t sink = sum;
    (void)sink;
  } catch (const nautile::Error&) {
  }
  return 0;
}
