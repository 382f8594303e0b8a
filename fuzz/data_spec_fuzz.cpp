// data_spec_fuzz.cpp — libFuzzer: any text as the specification of training data.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "train/data_spec.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto spec = nautile::train::parse_data_spec(text, "folder/spec.toml");
    for (const auto& source : spec.sources) {
      // A source's name becomes a part of file names.
      if (source.name.empty() || source.name.find('/') != source.name.npos) __builtin_trap();
      if (!(source.weight >= 0) || source.count < 0) __builtin_trap();
    }
  } catch (const nautile::Error&) {
  }
  return 0;
}
