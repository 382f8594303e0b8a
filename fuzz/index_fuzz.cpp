// index_fuzz.cpp — libFuzzer: any text as the index of a sharded checkpoint.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "store/hf_folder.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    for (const auto& [tensor, file] : nautile::store::parse_index(text, "fuzz")) {
      // A file name never leaves the folder.
      if (file.find('/') != file.npos || file == "..") __builtin_trap();
    }
  } catch (const nautile::Error&) {
  }
  return 0;
}
