// char_reader.h — CharReader: a pattern or a grammar, read from left to right.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "text/unicode.h"

namespace nautile {

// A place in a text of valid UTF-8, which must outlive it. Questions that find nothing leave the
// place where it is, or where the fault is.
class CharReader {
 public:
  explicit CharReader(std::string_view text) : text_(text) {}

  std::string_view text() const { return text_; }
  std::size_t at() const { return at_; }
  void go_to(std::size_t at) { at_ = at; }
  void skip(std::size_t bytes = 1) { at_ += bytes; }

  bool done() const { return at_ == text_.size(); }
  char peek(std::size_t ahead = 0) const {  // '\0' after the end
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  bool take(std::string_view s) {
    if (text_.substr(at_, s.size()) != s) return false;
    at_ += s.size();
    return true;
  }
  char32_t take_rune() {  // not at the end
    const Rune rune = decode_rune(text_.data() + at_);
    at_ += static_cast<std::size_t>(rune.length);
    return rune.code;
  }

  // So many hexadecimal digits, at most 8; nothing at the first other character.
  std::optional<char32_t> take_hex(int digits);
  // A decimal number; nothing if there is no digit. Numbers above `most` are told as most + 1.
  std::optional<std::uint32_t> take_number(std::uint32_t most);
  // One letter of C's escapes: t n v f r.
  std::optional<char32_t> take_control();

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

// Whether a number is a character: no half of a surrogate pair, no more than U+10FFFF.
inline bool is_character(char32_t code) {
  return code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
}

}  // namespace nautile
