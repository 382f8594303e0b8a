// jinja_text.cpp — slices and joins of text with provenance.
#include "text/jinja_text.h"

#include <algorithm>

namespace nautile::jinja {

Text::Text(std::string bytes, Origin origin) : bytes_(std::move(bytes)) {
  if (origin == Origin::user) mark_all_user();
}

void Text::mark_all_user() {
  user_.clear();
  add_range(0, bytes_.size());
}

void Text::add_range(std::size_t begin, std::size_t end) {
  if (begin >= end) return;
  if (!user_.empty() && user_.back().end == begin) {
    user_.back().end = end;
  } else {
    user_.push_back({begin, end});
  }
}

void Text::append(std::string_view bytes, Origin origin) {
  const std::size_t begin = bytes_.size();
  bytes_ += bytes;
  if (origin == Origin::user) add_range(begin, bytes_.size());
}

void Text::append(const Text& other, std::size_t begin, std::size_t end) {
  const std::size_t base = bytes_.size();
  bytes_.append(other.bytes_, begin, end - begin);
  if (other.user_.empty()) return;
  // The first range that reaches past begin: slices of long, finely marked texts stay cheap.
  auto range = std::upper_bound(other.user_.begin(), other.user_.end(), begin,
                                [](std::size_t at, const ByteRange& r) { return at < r.end; });
  for (; range != other.user_.end() && range->begin < end; ++range) {
    const std::size_t from = std::max(range->begin, begin) - begin;
    const std::size_t to = std::min(range->end, end) - begin;
    add_range(base + from, base + to);
  }
}

Text Text::slice(std::size_t begin, std::size_t end) const {
  Text result;
  result.append(*this, begin, end);
  return result;
}

Origin Text::origin_at(std::size_t byte) const {
  auto range = std::upper_bound(user_.begin(), user_.end(), byte,
                                [](std::size_t at, const ByteRange& r) { return at < r.end; });
  return range != user_.end() && range->begin <= byte ? Origin::user : Origin::format;
}

std::vector<Segment> Text::segments() const {
  std::vector<Segment> result;
  std::size_t at = 0;
  const auto emit = [&](std::size_t end, Origin origin) {
    if (end > at) result.push_back({bytes_.substr(at, end - at), origin});
    at = end;
  };
  for (const ByteRange& range : user_) {
    emit(range.begin, Origin::format);
    emit(range.end, Origin::user);
  }
  emit(bytes_.size(), Origin::format);
  return result;
}

}  // namespace nautile::jinja
