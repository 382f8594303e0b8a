// samples_fuzz.cpp — libFuzzer: any line of a user's file as a conversation and as a preference.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "align/align_testing.h"
#include "align/samples.h"
#include "base/error.h"
#include "base/json.h"

namespace {

// Runs ascend and lie inside; there is something to learn.
void check(const std::vector<nautile::align::SampleGroup>& groups) {
  for (const auto& group : groups) {
    for (const auto& sample : group) {
      std::uint32_t at = 0;
      for (const auto& run : sample.runs) {
        if (run.begin < at || run.end <= run.begin || run.end > sample.tokens.size())
          __builtin_trap();
        at = run.end;
      }
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nautile;
  static const Tokenizer tokenizer = align::testing::byte_tokenizer();
  static const auto format = align::testing::line_format();
  const align::ChatEncoder encoder{tokenizer, *format, tool_format_named("generic"),
                                   tool_words(*format)};
  const std::string_view line(reinterpret_cast<const char*>(data), size);
  for (const auto encode : {align::encode_conversation, align::encode_preference}) {
    try {
      check(encode(encoder, parse_ordered_json(line, "line 1")));
    } catch (const Error&) {
    }
  }
  return 0;
}
