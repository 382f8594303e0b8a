// page_files.h — the browser page: files that lie in the program, and the headers they go out with.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "server/exchange.h"

namespace nautile::server {

// A file of the page. Everything lives as long as the program.
struct PageFile {
  std::string_view path;          // of the URL: "/" is the page itself, the rest "/page/…"
  std::string_view content_type;  // with its charset
  std::string_view encoding;      // of `bytes`: "gzip" or ""
  std::span<const std::byte> bytes;
  std::string_view etag;  // quoted, of the bytes
};

// Ascending by path. Markdown, formulas and colours come from Debian's packages when the program is
// built; where those were missing, the page shows plain text.
std::span<const PageFile> page_files();

// Null if there is no such file.
const PageFile* find_page_file(std::string_view path);

// What the page may do, for the header Content-Security-Policy: scripts, styles and connections of
// its own server alone, nothing inline, no text made into script.
extern const std::string_view kContentSecurityPolicy;

// The headers of an answer that carries `file`, or of the 304 that spares it: the policy above,
// Content-Encoding, ETag, Cache-Control (asked again each time, so that a new program shows its own
// page) and what keeps other sites away. The page needs no key. A client that takes no gzip gets it
// all the same: every browser takes it.
Headers page_headers(const PageFile& file);

// If an If-None-Match header says that the client has `file` already.
bool page_is_known(const PageFile& file, std::string_view if_none_match);

}  // namespace nautile::server
