// html.h — html_text: foreign text made fit for an HTML page.
#pragma once

#include <string>
#include <string_view>

namespace nautile::app {

// Text as content of an element or as an attribute in double quotes: it can open no tag, end no
// attribute and holds no control character. What is ill-formed UTF-8 becomes U+FFFD.
std::string html_text(std::string_view text);

}  // namespace nautile::app
