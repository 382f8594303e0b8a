// jinja_chars.h — characters as Python's str sees them: code points, white space, classes, case.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace nautile::jinja {

// The code point at byte `at` of valid UTF-8 and its length in bytes.
struct CodePoint {
  std::uint32_t code = 0;
  std::size_t bytes = 1;
};
CodePoint code_point(std::string_view text, std::size_t at);

// Byte length of the character that starts with this byte.
inline std::size_t char_bytes(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

void append_utf8(std::string& out, std::uint32_t code);
std::size_t count_chars(std::string_view text);
// Byte position of the first malformed sequence (surrogates and overlong forms too), or npos.
std::size_t find_invalid_utf8(std::string_view text);
// Byte position of character number `index`, at most text.size().
std::size_t byte_of_char(std::string_view text, std::size_t index);

// str.isspace and friends, for one character.
bool is_space(std::uint32_t code);
bool is_line_break(std::uint32_t code);  // as str.splitlines cuts
bool is_alpha(std::uint32_t code);
bool is_decimal(std::uint32_t code);
bool is_numeric(std::uint32_t code);
bool is_upper(std::uint32_t code);
bool is_lower(std::uint32_t code);
bool is_title(std::uint32_t code);
bool is_printable(std::uint32_t code);
inline bool is_alnum(std::uint32_t code) {
  return is_alpha(code) || is_numeric(code);
}
bool is_identifier_start(std::uint32_t code);
bool is_identifier_part(std::uint32_t code);

// Full case mappings in UTF-8, appended. Lower case of a final sigma is the caller's business.
void append_upper(std::string& out, std::uint32_t code);
void append_lower(std::string& out, std::uint32_t code);
void append_title(std::string& out, std::uint32_t code);
bool is_cased(std::uint32_t code);
bool is_case_ignorable(std::uint32_t code);

}  // namespace nautile::jinja
