#include "text/char_reader.h"

namespace nautile {

std::optional<char32_t> CharReader::take_hex(int digits) {
  char32_t value = 0;
  for (; digits > 0; --digits, ++at_) {
    const char c = peek(), lower = static_cast<char>(c | 32);
    if (c >= '0' && c <= '9') {
      value = value * 16 + static_cast<char32_t>(c - '0');
    } else if (lower >= 'a' && lower <= 'f') {
      value = value * 16 + static_cast<char32_t>(lower - 'a' + 10);
    } else {
      return std::nullopt;
    }
  }
  return value;
}

std::optional<std::uint32_t> CharReader::take_number(std::uint32_t most) {
  if (peek() < '0' || peek() > '9') return std::nullopt;
  std::uint64_t value = 0;
  for (; peek() >= '0' && peek() <= '9'; ++at_) {
    value = value * 10 + static_cast<std::uint64_t>(peek() - '0');
    if (value > most) value = std::uint64_t{most} + 1;
  }
  return static_cast<std::uint32_t>(value);
}

std::optional<char32_t> CharReader::take_control() {
  constexpr std::string_view kLetters = "tnvfr", kCodes = "\t\n\v\f\r";
  const std::size_t i = done() ? kLetters.npos : kLetters.find(peek());
  if (i == kLetters.npos) return std::nullopt;
  ++at_;
  return static_cast<char32_t>(kCodes[i]);
}

}  // namespace nautile
