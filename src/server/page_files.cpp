#include "server/page_files.h"

#include <algorithm>

namespace nautile::server {

// `trusted-types`: in one place of the page text becomes an address of a script, vendor.js; in none
// does it become markup.
const std::string_view kContentSecurityPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types nautile";

const PageFile* find_page_file(std::string_view path) {
  const auto files = page_files();
  const auto found = std::ranges::lower_bound(files, path, {}, &PageFile::path);
  return found != files.end() && found->path == path ? &*found : nullptr;
}

Headers page_headers(const PageFile& file) {
  Headers headers = {{"Content-Security-Policy", std::string(kContentSecurityPolicy)},
                     {"ETag", std::string(file.etag)},
                     {"Cache-Control", "no-cache"},
                     {"X-Content-Type-Options", "nosniff"},
                     {"Referrer-Policy", "no-referrer"},
                     {"Cross-Origin-Opener-Policy", "same-origin"},
                     {"Cross-Origin-Resource-Policy", "same-origin"},
                     {"Permissions-Policy", "camera=(), geolocation=(), microphone=()"}};
  if (!file.encoding.empty()) headers.emplace_back("Content-Encoding", file.encoding);
  return headers;
}

bool page_is_known(const PageFile& file, std::string_view if_none_match) {
  // A list of tags, weak ones too (RFC 9110 §13.1.2 compares weakly); an etag of ours has no comma.
  while (!if_none_match.empty()) {
    const auto comma = std::min(if_none_match.find(','), if_none_match.size());
    std::string_view tag = if_none_match.substr(0, comma);
    if_none_match.remove_prefix(std::min(comma + 1, if_none_match.size()));
    const auto begin = tag.find_first_not_of(" \t");
    if (begin == std::string_view::npos) continue;
    tag = tag.substr(begin, tag.find_last_not_of(" \t") + 1 - begin);
    if (tag.starts_with("W/")) tag.remove_prefix(2);
    if (tag == "*" || tag == file.etag) return true;
  }
  return false;
}

}  // namespace nautile::server
