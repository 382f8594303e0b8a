// unicode.cpp — builds the property table, checks and repairs UTF-8.
#include "text/unicode.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <span>

namespace nautile {
namespace {

constexpr std::uint32_t kRanges[] = {
#include "text/unicode_ranges.inc"
};

// General categories in the order that the generated ranges number them.
constexpr std::uint16_t kByCategory[] = {
    /*Cn*/ 0,
    /*Cc*/ 0,
    /*Cf*/ 0,
    /*Co*/ 0,
    /*Cs*/ 0,
    /*Ll*/ kLetter | kLower | kWord,
    /*Lm*/ kLetter | kWord,
    /*Lo*/ kLetter | kWord,
    /*Lt*/ kLetter | kUpperTitle | kWord,
    /*Lu*/ kLetter | kUpperTitle | kWord,
    /*Mc*/ kMark | kWord,
    /*Me*/ kMark | kWord,
    /*Mn*/ kMark | kWord,
    /*Nd*/ kNumber | kWord,
    /*Nl*/ kNumber | kWord,
    /*No*/ kNumber,
    /*Pc*/ kPunctuation | kWord,
    /*Pd*/ kPunctuation,
    /*Pe*/ kPunctuation,
    /*Pf*/ kPunctuation,
    /*Pi*/ kPunctuation,
    /*Po*/ kPunctuation,
    /*Ps*/ kPunctuation,
    /*Sc*/ kSymbol,
    /*Sk*/ kSymbol,
    /*Sm*/ kSymbol,
    /*So*/ kSymbol,
    /*Zl*/ kSpace,
    /*Zp*/ kSpace,
    /*Zs*/ kSpace,
};
constexpr std::uint32_t kRangeNfcCare = 32;
constexpr std::uint32_t kRangeHan = 64;

// What the categories do not say.
struct Extra {
  std::size_t first, last;
  std::uint16_t bits;
};
constexpr Extra kExtras[] = {
    {0x09, 0x0D, kSpace},
    {0x85, 0x85, kSpace},
    {'\n', '\n', kNewline},
    {'\r', '\r', kNewline},
    {0x4E00, 0x9FA5, kCjkRun},
    {0x3040, 0x30FF, kCjkRun},
    // Alphabetic symbols (Other_Alphabetic outside marks) and joiners count as word characters.
    {0x24B6, 0x24E9, kWord},
    {0x1F130, 0x1F149, kWord},
    {0x1F150, 0x1F169, kWord},
    {0x1F170, 0x1F189, kWord},
    {0x200C, 0x200D, kWord},
};

std::uint16_t range_bits(std::uint32_t range) {
  std::uint16_t bits = kByCategory[range & 31];
  if (range & kRangeNfcCare) bits |= kNfcCare;
  if (range & kRangeHan) bits |= kHan;
  return bits;
}

// Adds the bits to the part of [first, last] that lies in the block of code points from `start`.
void add_bits(std::span<std::uint16_t> block, std::size_t start, std::size_t first,
              std::size_t last, std::uint16_t bits) {
  for (std::size_t c = std::max(first, start); c <= last && c < start + block.size(); ++c) {
    block[c - start] = static_cast<std::uint16_t>(block[c - start] | bits);
  }
}

bool continuation(unsigned char c) {
  return (c & 0xC0) == 0x80;
}

}  // namespace

const CharTable& CharTable::get() {
  static const CharTable table;
  return table;
}

// Block by block: all code points at once would take 2 MB that a process never gives back.
CharTable::CharTable() {
  using Block = std::array<std::uint16_t, kMask + 1>;
  const std::size_t count = std::size(kRanges);
  const auto first_of = [&](std::size_t i) {
    return i < count ? std::size_t{kRanges[i] >> 8} : std::size_t{0x110000};
  };
  std::map<Block, std::uint16_t> known;
  std::size_t range = 0;  // the first that reaches into the block
  for (std::size_t index = 0; index < stage1_.size(); ++index) {
    const std::size_t start = index << kShift, end = start + kMask + 1;
    Block block{};
    while (range < count && first_of(range + 1) <= start) ++range;
    for (std::size_t i = range; i < count && first_of(i) < end; ++i)
      add_bits(block, start, first_of(i), first_of(i + 1) - 1, range_bits(kRanges[i]));
    for (const Extra& extra : kExtras) add_bits(block, start, extra.first, extra.last, extra.bits);
    const auto [it, added] = known.emplace(block, static_cast<std::uint16_t>(known.size()));
    if (added) blocks_.insert(blocks_.end(), block.begin(), block.end());
    stage1_[index] = it->second;
  }
}

Rune decode_last_rune(const char* begin, const char* end) {
  const char* p = end - 1;
  while (p > begin && continuation(static_cast<unsigned char>(*p))) --p;
  return decode_rune(p);
}

void append_utf8(std::string& out, char32_t code) {
  const auto put = [&out](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

Utf8Step utf8_step(std::string_view bytes) {
  using Kind = Utf8Step::Kind;
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned char a = at(0);
  if (a < 0x80) return {Kind::valid, 1};
  if (a < 0xC2 || a > 0xF4) return {Kind::invalid, 1};
  const int need = a < 0xE0 ? 2 : a < 0xF0 ? 3 : 4;
  // The second byte's range excludes overlong forms, surrogates and code points past U+10FFFF.
  const unsigned char low = a == 0xE0 ? 0xA0 : a == 0xF0 ? 0x90 : 0x80;
  const unsigned char high = a == 0xED ? 0x9F : a == 0xF4 ? 0x8F : 0xBF;
  for (int i = 1; i < need; ++i) {
    if (static_cast<std::size_t>(i) == bytes.size()) return {Kind::truncated, i};
    const unsigned char c = at(static_cast<std::size_t>(i));
    const bool good = i == 1 ? c >= low && c <= high : continuation(c);
    if (!good) return {Kind::invalid, i};
  }
  return {Kind::valid, need};
}

std::size_t valid_utf8_prefix(std::string_view bytes) {
  std::size_t pos = 0;
  while (pos < bytes.size()) {
    // Eight ASCII bytes at a time.
    while (pos + 8 <= bytes.size()) {
      std::uint64_t word;
      std::memcpy(&word, bytes.data() + pos, 8);
      if (word & 0x8080808080808080u) break;
      pos += 8;
    }
    if (pos == bytes.size()) break;
    const Utf8Step step = utf8_step(bytes.substr(pos, 4));
    if (step.kind != Utf8Step::Kind::valid) break;
    pos += static_cast<std::size_t>(step.length);
  }
  return pos;
}

std::string replace_invalid_utf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    const std::size_t good = valid_utf8_prefix(bytes);
    out.append(bytes.substr(0, good));
    bytes.remove_prefix(good);
    if (bytes.empty()) break;
    append_utf8(out, 0xFFFD);
    bytes.remove_prefix(static_cast<std::size_t>(utf8_step(bytes.substr(0, 4)).length));
  }
  return out;
}

}  // namespace nautile
