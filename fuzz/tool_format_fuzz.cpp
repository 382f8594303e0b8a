// tool_format_fuzz.cpp — foreign answers to every tool format: cuts do not matter, nothing is lost.
//
// The first byte chooses the format and how the rest is cut.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "text/json_scanner.h"
#include "text/tool_parser_testing.h"

namespace {

using namespace nautile;

bool is_object(std::string_view text) {
  JsonScanner scanner;
  for (std::size_t i = 0; i + 1 < text.size(); ++i) {
    if (scanner.take(text[i]) != JsonScanner::Told::more) return false;
  }
  return text.starts_with('{') && scanner.take(text.back()) == JsonScanner::Told::done;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto& names = tool_format_names();
  const ToolFormat& format = tool_format_named(names[data[0] % names.size()]);
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::vector<std::string> offered = {"f", "get_weather"};
  const ParsedAnswer whole = parse_answer(format, offered, text);
  std::size_t state = data[0];
  const auto next = [&] { return 1 + (state = state * 75 % 65'537) % 7; };
  NAUTILE_ASSERT(parse_answer(format, offered, text, next) == whole, "cuts matter");
  NAUTILE_ASSERT(parse_answer(format, offered, text, [] { return 1; }) == whole, "cuts matter");
  if (whole.calls.empty()) NAUTILE_ASSERT(whole.content == text, "something is lost");
  std::size_t bytes = whole.content.size();
  for (std::size_t i = 0; i < whole.calls.size(); ++i) {
    bytes += whole.calls[i].arguments.size();
    if (whole.ended[i] != ToolPiece::Ended::whole) continue;
    NAUTILE_ASSERT(is_object(whole.calls[i].arguments), "whole arguments are no object");
  }
  NAUTILE_ASSERT(bytes <= text.size(), "more comes out than went in");
  return 0;
}
