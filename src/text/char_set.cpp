#include "text/char_set.h"

#include <algorithm>

#include "text/unicode.h"

namespace nautile {
namespace {

constexpr char32_t kLastChar = 0x10FFFF;
constexpr char32_t kBeforeSurrogates = 0xD7FF, kAfterSurrogates = 0xE000;

}  // namespace

CharSet CharSet::of(std::string_view utf8) {
  CharSet set;
  for (std::size_t at = 0; at < utf8.size();) {
    const Rune rune = decode_rune(utf8.data() + at);
    set.ranges_.push_back({rune.code, rune.code});
    at += static_cast<std::size_t>(rune.length);
  }
  set.normalize();
  return set;
}

const CharSet& CharSet::all() {
  static const CharSet kAll = [] {
    CharSet set(0, kBeforeSurrogates);
    set.add(kAfterSurrogates, kLastChar);
    return set;
  }();
  return kAll;
}

CharSet CharSet::with_bits(std::uint16_t bits) {
  const CharTable& table = CharTable::get();
  CharSet set;
  for (char32_t c = 0; c <= kLastChar; ++c) {
    if ((table.bits(c) & bits) == 0) continue;
    if (!set.ranges_.empty() && set.ranges_.back().last + 1 == c) {
      set.ranges_.back().last = c;
    } else {
      set.ranges_.push_back({c, c});
    }
  }
  return set & all();
}

void CharSet::add(char32_t first, char32_t last) {
  last = std::min(last, kLastChar);
  if (first <= kBeforeSurrogates) ranges_.push_back({first, std::min(last, kBeforeSurrogates)});
  if (last >= kAfterSurrogates) ranges_.push_back({std::max(first, kAfterSurrogates), last});
  normalize();
}

void CharSet::add(const CharSet& other) {
  ranges_.insert(ranges_.end(), other.ranges_.begin(), other.ranges_.end());
  normalize();
}

void CharSet::normalize() {
  std::erase_if(ranges_, [](const Range& r) { return r.first > r.last; });
  std::sort(ranges_.begin(), ranges_.end());
  std::size_t kept = 0;
  for (std::size_t i = 1; i < ranges_.size(); ++i) {
    if (ranges_[i].first <= ranges_[kept].last + 1) {
      ranges_[kept].last = std::max(ranges_[kept].last, ranges_[i].last);
    } else {
      ranges_[++kept] = ranges_[i];
    }
  }
  if (!ranges_.empty()) ranges_.resize(kept + 1);
}

CharSet CharSet::operator|(const CharSet& other) const {
  CharSet result = *this;
  result.add(other);
  return result;
}

CharSet CharSet::operator&(const CharSet& other) const {
  CharSet result;
  auto a = ranges_.begin(), b = other.ranges_.begin();
  while (a != ranges_.end() && b != other.ranges_.end()) {
    const char32_t first = std::max(a->first, b->first), last = std::min(a->last, b->last);
    if (first <= last) result.ranges_.push_back({first, last});
    (a->last < b->last ? a : b)++;
  }
  return result;
}

CharSet CharSet::complement() const {
  CharSet result;
  char32_t next = 0;
  for (const Range& range : ranges_) {
    if (range.first > next) result.ranges_.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  if (next <= kLastChar) result.ranges_.push_back({next, kLastChar});
  return result & all();
}

bool CharSet::contains(char32_t c) const {
  const auto after = std::upper_bound(ranges_.begin(), ranges_.end(), c,
                                      [](char32_t x, const Range& r) { return x < r.first; });
  return after != ranges_.begin() && c <= std::prev(after)->last;
}

}  // namespace nautile
