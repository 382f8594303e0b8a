// page_files.h — the browser page: files that lie in the program, and the headers they go out with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
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

// How a file goes out: as it lies in the program, or unpacked.
enum class PageForm : std::uint8_t { stored, plain };

// By the client's Accept-Encoding (RFC 9110 §12.5.3): stored, unless that is gzip and the client
// does not take it. One that says nothing gets plain bytes: every browser says what it takes.
PageForm page_form(const PageFile& file, std::string_view accept_encoding);

// The bytes that go out, without limit on how often: unpacking takes milliseconds.
std::string page_bytes(const PageFile& file, PageForm form);

// Quoted; another one for each form, as strong tags must be (RFC 9110 §8.8.3.3).
std::string page_tag(const PageFile& file, PageForm form);

// The headers of an answer that carries `file`, or of the 304 that spares it: the policy above,
// Content-Encoding, Vary, ETag, Cache-Control (asked again each time, so that a new program shows
// its own page) and what keeps other sites away. The page needs no key.
Headers page_headers(const PageFile& file, PageForm form);

// If an If-None-Match header says that the client has `file` already.
bool page_is_known(const PageFile& file, PageForm form, std::string_view if_none_match);

}  // namespace nautile::server
