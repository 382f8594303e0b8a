// jinja_chars.cpp — character facts from utf8proc, completed where Python uses full case mappings.
#include "text/jinja_chars.h"

#include <utf8proc.h>

#include <algorithm>

#include "text/jinja_chars_data.h"
#include "text/unicode.h"

namespace nautile::jinja {
namespace {

utf8proc_category_t category(std::uint32_t code) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code));
}

const SpecialCase* special_case(std::uint32_t code) {
  if (code < 0x80) return nullptr;
  const auto* found =
      std::lower_bound(std::begin(kSpecialCases), std::end(kSpecialCases), code,
                       [](const SpecialCase& entry, std::uint32_t c) { return entry.code < c; });
  return found != std::end(kSpecialCases) && found->code == code ? found : nullptr;
}

unsigned byte_at(std::string_view text, std::size_t at) {
  return static_cast<unsigned char>(text[at]);
}

}  // namespace

CodePoint code_point(std::string_view text, std::size_t at) {
  const unsigned lead = byte_at(text, at);
  const std::size_t bytes = char_bytes(text[at]);
  if (bytes == 1 || at + bytes > text.size()) return {lead, 1};
  std::uint32_t code = lead & (0x7Fu >> bytes);
  for (std::size_t i = 1; i < bytes; ++i) code = code << 6 | (byte_at(text, at + i) & 0x3F);
  return {code, bytes};
}

void append_utf8(std::string& out, std::uint32_t code) {
  nautile::append_utf8(out, static_cast<char32_t>(code));
}

std::size_t count_chars(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

std::size_t find_invalid_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    if (byte_at(text, at) < 0x80) {
      ++at;
      continue;
    }
    utf8proc_int32_t code = 0;
    const utf8proc_ssize_t bytes =
        utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + at,
                         static_cast<utf8proc_ssize_t>(text.size() - at), &code);
    if (bytes <= 0) return at;
    at += static_cast<std::size_t>(bytes);
  }
  return std::string_view::npos;
}

std::size_t byte_of_char(std::string_view text, std::size_t index) {
  std::size_t at = 0;
  while (index > 0 && at < text.size()) {
    at += char_bytes(text[at]);
    --index;
  }
  return std::min(at, text.size());
}

bool is_space(std::uint32_t code) {
  if (code < 0x80) return (code >= 9 && code <= 13) || (code >= 0x1C && code <= 0x20);
  return code == 0x85 || code == 0xA0 || code == 0x1680 || (code >= 0x2000 && code <= 0x200A) ||
         code == 0x2028 || code == 0x2029 || code == 0x202F || code == 0x205F || code == 0x3000;
}

bool is_line_break(std::uint32_t code) {
  return (code >= 0x0A && code <= 0x0D) || (code >= 0x1C && code <= 0x1E) || code == 0x85 ||
         code == 0x2028 || code == 0x2029;
}

bool is_alpha(std::uint32_t code) {
  const auto c = category(code);
  return c == UTF8PROC_CATEGORY_LU || c == UTF8PROC_CATEGORY_LL || c == UTF8PROC_CATEGORY_LT ||
         c == UTF8PROC_CATEGORY_LM || c == UTF8PROC_CATEGORY_LO;
}

bool is_decimal(std::uint32_t code) {
  return category(code) == UTF8PROC_CATEGORY_ND;
}

bool is_numeric(std::uint32_t code) {
  const auto c = category(code);
  return c == UTF8PROC_CATEGORY_ND || c == UTF8PROC_CATEGORY_NL || c == UTF8PROC_CATEGORY_NO;
}

bool is_upper(std::uint32_t code) {
  return utf8proc_isupper(static_cast<utf8proc_int32_t>(code)) != 0;
}
bool is_lower(std::uint32_t code) {
  return utf8proc_islower(static_cast<utf8proc_int32_t>(code)) != 0;
}
bool is_title(std::uint32_t code) {
  return category(code) == UTF8PROC_CATEGORY_LT;
}
bool is_cased(std::uint32_t code) {
  return is_upper(code) || is_lower(code) || is_title(code);
}

bool is_case_ignorable(std::uint32_t code) {
  if (code == '\'' || code == '.' || code == ':' || code == '^' || code == '`') return true;
  const auto c = category(code);
  return c == UTF8PROC_CATEGORY_MN || c == UTF8PROC_CATEGORY_ME || c == UTF8PROC_CATEGORY_CF ||
         c == UTF8PROC_CATEGORY_LM || c == UTF8PROC_CATEGORY_SK || code == 0xB7 || code == 0x2019;
}

bool is_printable(std::uint32_t code) {
  if (code == ' ') return true;
  switch (category(code)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
      return false;
    default:
      return true;
  }
}

bool is_identifier_start(std::uint32_t code) {
  return code == '_' || is_alpha(code) || category(code) == UTF8PROC_CATEGORY_NL;
}

bool is_identifier_part(std::uint32_t code) {
  const auto c = category(code);
  return is_identifier_start(code) || c == UTF8PROC_CATEGORY_ND || c == UTF8PROC_CATEGORY_MN ||
         c == UTF8PROC_CATEGORY_MC || c == UTF8PROC_CATEGORY_PC;
}

void append_upper(std::string& out, std::uint32_t code) {
  if (const SpecialCase* special = special_case(code)) {
    out += special->upper;
  } else {
    append_utf8(out,
                static_cast<std::uint32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(code))));
  }
}

void append_lower(std::string& out, std::uint32_t code) {
  append_utf8(out,
              static_cast<std::uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code))));
  if (code == 0x130)
    append_utf8(out, 0x307);  // İ is the one character with a two-character lower case
}

void append_title(std::string& out, std::uint32_t code) {
  if (const SpecialCase* special = special_case(code)) {
    out += special->title;
  } else {
    append_utf8(out,
                static_cast<std::uint32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(code))));
  }
}

}  // namespace nautile::jinja
