// load_answer_fuzz.cpp — libFuzzer: any bytes as a server's response, at once and cut in pieces.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "app/load_answer.h"
#include "base/error.h"

using namespace nautile;

namespace {

// Nothing if the bytes are refused.
std::optional<app::LoadAnswer> read(std::string_view bytes, std::size_t size) {
  app::LoadAnswer answer;
  app::AnswerReader reader(answer);
  try {
    for (; !bytes.empty(); bytes.remove_prefix(std::min(size, bytes.size()))) {
      if (reader.feed(bytes.substr(0, size), 1) == app::AnswerReader::State::whole) return answer;
    }
    reader.end_of_input(1);
  } catch (const Error&) {
    return std::nullopt;
  }
  return answer;
}

}  // namespace

// The first byte says how the rest is cut.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::optional<app::LoadAnswer> whole = read(bytes, bytes.size());
  const std::optional<app::LoadAnswer> pieces = read(bytes, std::size_t{1} + data[0]);
  if (whole.has_value() != pieces.has_value()) __builtin_trap();
  if (whole && (whole->status != pieces->status || whole->body != pieces->body ||
                whole->error != pieces->error || whole->parts.size() != pieces->parts.size() ||
                whole->tokens() != pieces->tokens())) {
    __builtin_trap();
  }
  return 0;
}
