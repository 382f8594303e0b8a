// unicode.h — UTF-8 and the character properties (Unicode 16.0) that tokenizers split by.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace nautile {

// Property bits of one code point. Unassigned code points have none.
enum CharBits : std::uint16_t {
  kLetter = 1,        // \p{L}
  kMark = 2,          // \p{M}
  kNumber = 4,        // \p{N}: Nd, Nl, No
  kPunctuation = 8,   // \p{P}
  kSymbol = 16,       // \p{S}
  kSpace = 32,        // White_Space, the \s of the published patterns
  kNewline = 64,      // \r and \n
  kHan = 128,         // script Han
  kUpperTitle = 256,  // Lu, Lt
  kLower = 512,       // Ll
  kNfcCare = 1024,    // may change under NFC, alone or after another character
  kWord = 2048,       // \w: alphabetic, marks, decimal digits, connector punctuation, joiners
  kCjkRun = 4096,     // U+4E00–U+9FA5, U+3040–U+30FF: the runs that DeepSeek-V3 isolates
};

// Two-stage table over all code points; built once, 1–2 ms, then read-only.
class CharTable {
 public:
  static const CharTable& get();

  std::uint16_t bits(char32_t c) const {
    return blocks_[(std::size_t{stage1_[c >> kShift]} << kShift) + (c & kMask)];
  }
  std::uint16_t ascii(unsigned char c) const { return blocks_[c]; }

 private:
  static constexpr int kShift = 7;
  static constexpr std::size_t kMask = (std::size_t{1} << kShift) - 1;
  CharTable();

  std::array<std::uint16_t, (0x110000 >> kShift)> stage1_;
  std::vector<std::uint16_t> blocks_;  // block 0 is ASCII
};

// One decoded character; length in bytes, 1–4.
struct Rune {
  char32_t code;
  int length;
};

// Decodes the character at p. The text must be valid UTF-8 and p at a character's first byte.
inline Rune decode_rune(const char* p) {
  const auto byte = [p](int i) { return static_cast<char32_t>(static_cast<unsigned char>(p[i])); };
  const char32_t a = byte(0);
  if (a < 0x80) return {a, 1};
  if (a < 0xE0) return {(a & 0x1F) << 6 | (byte(1) & 0x3F), 2};
  if (a < 0xF0) return {(a & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F), 3};
  return {(a & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F), 4};
}

// Decodes the last character of [begin, end); not empty, valid UTF-8.
Rune decode_last_rune(const char* begin, const char* end);

void append_utf8(std::string& out, char32_t code);

// What stands at the start of some bytes.
struct Utf8Step {
  enum class Kind { valid, invalid, truncated } kind;
  int length;  // bytes of the character, of the maximal ill-formed subpart, or all that is left
};

// Classifies the start of non-empty bytes. `truncated` means a proper prefix of some character.
Utf8Step utf8_step(std::string_view bytes);

// Length of the longest prefix that is valid UTF-8.
std::size_t valid_utf8_prefix(std::string_view bytes);

// The text with every maximal ill-formed subpart replaced by U+FFFD (Unicode 3.9, as browsers do).
std::string replace_invalid_utf8(std::string_view bytes);

}  // namespace nautile
