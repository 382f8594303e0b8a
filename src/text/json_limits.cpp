// json_limits.cpp — checks the nesting before the parser sees the text.
#include "text/json_limits.h"

#include "base/error.h"

namespace nautile {
namespace {

// Brackets outside strings. A text that is no JSON may be miscounted; the parser then refuses it.
void check_depth(std::string_view text, int max_depth, std::string_view what) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      NAUTILE_CHECK(++depth <= max_depth, "{}: nested deeper than {} levels at byte {}", what,
                    max_depth, i);
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
}

template <class Json>
Json parse_limited(std::string_view text, int max_depth, std::string_view what) {
  check_depth(text, max_depth, what);
  try {
    return Json::parse(text);
  } catch (const nlohmann::json::parse_error& e) {
    fail(ErrorKind::bad_input, "{}: not valid JSON at byte {}: {}", what, e.byte,
         std::string_view(e.what()).substr(0, 200));
  } catch (const nlohmann::json::exception& e) {
    fail(ErrorKind::bad_input, "{}: {}", what, std::string_view(e.what()).substr(0, 200));
  }
}

}  // namespace

nlohmann::json parse_json_limited(std::string_view text, int max_depth, std::string_view what) {
  return parse_limited<nlohmann::json>(text, max_depth, what);
}

nlohmann::ordered_json parse_ordered_json_limited(std::string_view text, int max_depth,
                                                  std::string_view what) {
  return parse_limited<nlohmann::ordered_json>(text, max_depth, what);
}

}  // namespace nautile
