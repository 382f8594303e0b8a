#include "server/page_files.h"

#include <algorithm>
#include <boost/beast/zlib/inflate_stream.hpp>

#include "base/error.h"
#include "base/strings.h"

namespace nautile::server {
namespace {

// "gzip;q=0.5" -> whether that weight is more than nothing: "q=0", "q=0.000" are none.
bool is_wanted(std::string_view parameters) {
  const auto equals = parameters.find('=');
  if (equals == std::string_view::npos) return true;
  const std::string_view weight = trimmed(parameters.substr(equals + 1));
  return weight.find_first_not_of("0.") != std::string_view::npos;
}

bool takes_gzip(std::string_view accept_encoding) {
  bool any = false;
  while (!accept_encoding.empty()) {
    const std::string_view member = next_member(accept_encoding);
    const auto semicolon = std::min(member.find(';'), member.size());
    const std::string_view name = trimmed(member.substr(0, semicolon));
    const bool wanted = is_wanted(member.substr(semicolon));
    // What is said of gzip itself goes before what is said of all.
    if (same_header(name, "gzip") || same_header(name, "x-gzip")) return wanted;
    if (name == "*") any = wanted;
  }
  return any;
}

// What a gzip file of ours holds (RFC 1952): a head of ten bytes without name, deflate, then the
// sum and the length of what comes out, four bytes each.
std::string unpacked(std::span<const std::byte> bytes) {
  constexpr std::size_t kHead = 10, kTail = 8;
  NAUTILE_ASSERT(bytes.size() > kHead + kTail, "a page file of {} bytes", bytes.size());
  std::size_t length = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    length |= std::to_integer<std::size_t>(bytes[bytes.size() - 4 + i]) << (8 * i);
  }
  std::string text(length, '\0');
  boost::beast::zlib::z_params zs;
  zs.next_in = bytes.data() + kHead;
  zs.avail_in = bytes.size() - kHead - kTail;
  zs.next_out = text.data();
  zs.avail_out = text.size();
  boost::beast::zlib::inflate_stream stream;
  boost::system::error_code error;
  stream.write(zs, boost::beast::zlib::Flush::sync, error);
  NAUTILE_ASSERT(zs.total_out == length, "a page file unpacks to {} bytes, not {}", zs.total_out,
                 length);
  return text;
}

}  // namespace

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

PageForm page_form(const PageFile& file, std::string_view accept_encoding) {
  return file.encoding.empty() || takes_gzip(accept_encoding) ? PageForm::stored : PageForm::plain;
}

std::string page_bytes(const PageFile& file, PageForm form) {
  if (form == PageForm::plain && !file.encoding.empty()) return unpacked(file.bytes);
  return {reinterpret_cast<const char*>(file.bytes.data()), file.bytes.size()};
}

std::string page_tag(const PageFile& file, PageForm form) {
  std::string tag(file.etag);
  if (form == PageForm::plain && !file.encoding.empty()) tag.insert(tag.size() - 1, "-plain");
  return tag;
}

Headers page_headers(const PageFile& file, PageForm form) {
  Headers headers = {{"Content-Security-Policy", std::string(kContentSecurityPolicy)},
                     {"ETag", page_tag(file, form)},
                     {"Cache-Control", "no-cache"},
                     {"X-Content-Type-Options", "nosniff"},
                     {"Referrer-Policy", "no-referrer"},
                     {"Cross-Origin-Opener-Policy", "same-origin"},
                     {"Cross-Origin-Resource-Policy", "same-origin"},
                     {"Permissions-Policy", "camera=(), geolocation=(), microphone=()"}};
  if (file.encoding.empty()) return headers;
  headers.emplace_back("Vary", "Accept-Encoding");
  if (form == PageForm::stored) headers.emplace_back("Content-Encoding", file.encoding);
  return headers;
}

bool page_is_known(const PageFile& file, PageForm form, std::string_view if_none_match) {
  const std::string own = page_tag(file, form);
  // A list of tags, weak ones too (RFC 9110 §13.1.2 compares weakly); an etag of ours has no comma.
  while (!if_none_match.empty()) {
    std::string_view tag = next_member(if_none_match);
    if (tag.starts_with("W/")) tag.remove_prefix(2);
    if (tag == "*" || tag == own) return true;
  }
  return false;
}

}  // namespace nautile::server
