// json_limits.h — JSON from outside, parsed within limits.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

namespace nautile {

// Parses one JSON document. `what` names it in errors ("tokenizer.json").
// Throws Error(bad_input) with the byte offset: not JSON, or nested deeper than max_depth.
// Memory is at most about 40 times the text.
nlohmann::json parse_json_limited(std::string_view text, int max_depth, std::string_view what);
// The same, keeping the order of members: for what is written out again (messages, tools).
nlohmann::ordered_json parse_ordered_json_limited(std::string_view text, int max_depth,
                                                  std::string_view what);

}  // namespace nautile
