// json.h — parse_json: foreign JSON text with limits on size, depth and number of values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace nautile {

// What a name that occurs twice in one object means.
enum class RepeatedNames : std::uint8_t {
  refuse,
  last,  // its last value counts, at the place of the first: as Python and most libraries read
};

struct JsonLimits {
  std::size_t bytes = std::size_t{256} << 20;
  int depth = 64;
  std::size_t values = 4'000'000;  // DeepSeek-V3's index has 91 thousand entries
  RepeatedNames repeated = RepeatedNames::refuse;
};

// Throws Error(bad_input) naming `what` and the byte offset: malformed text, broken UTF-8, a
// repeated name where they are refused, a limit exceeded. Memory stays within a small multiple of
// limits.values and the text, time near to linear in the text.
nlohmann::json parse_json(std::string_view text, std::string_view what,
                          const JsonLimits& limits = {});
// The same, keeping the order of members: for what is written out again.
nlohmann::ordered_json parse_ordered_json(std::string_view text, std::string_view what,
                                          const JsonLimits& limits = {});

// A member that must be there: Error(bad_input) naming `what` and the member otherwise.
const nlohmann::json& json_member(const nlohmann::json& object, const char* name,
                                  std::string_view what);

// Where in `text` a name of an object is first spelt, for errors about its value; 0 if it is spelt
// in another way (with escapes).
std::size_t key_offset(std::string_view text, std::string_view name);

}  // namespace nautile
