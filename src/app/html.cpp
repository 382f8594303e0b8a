#include "app/html.h"

#include "app/printer.h"
#include "text/unicode.h"

namespace nautile::app {

std::string html_text(std::string_view text) {
  std::string out;
  for (const char c : terminal_safe(replace_invalid_utf8(text))) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace nautile::app
