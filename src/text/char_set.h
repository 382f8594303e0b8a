// char_set.h — a set of Unicode scalar values, as sorted ranges.
#pragma once

#include <compare>
#include <cstdint>
#include <string_view>
#include <vector>

namespace nautile {

// Surrogates are never members: no UTF-8 text holds them.
class CharSet {
 public:
  struct Range {
    char32_t first, last;  // inclusive
    auto operator<=>(const Range&) const = default;
  };

  CharSet() = default;
  CharSet(char32_t first, char32_t last) { add(first, last); }
  // Each character of valid UTF-8.
  static CharSet of(std::string_view utf8);
  static const CharSet& all();
  // What has any of the bits of text/unicode.h.
  static CharSet with_bits(std::uint16_t bits);

  void add(char32_t first, char32_t last);
  void add(const CharSet& other);
  CharSet operator|(const CharSet& other) const;
  CharSet operator&(const CharSet& other) const;
  CharSet operator-(const CharSet& other) const { return *this & other.complement(); }
  CharSet complement() const;

  bool empty() const { return ranges_.empty(); }
  bool contains(char32_t c) const;
  // Sorted, disjoint, with a gap between any two.
  const std::vector<Range>& ranges() const { return ranges_; }
  auto operator<=>(const CharSet&) const = default;

 private:
  void normalize();
  std::vector<Range> ranges_;
};

}  // namespace nautile
