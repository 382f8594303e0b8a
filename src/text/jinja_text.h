// jinja_text.h — a UTF-8 string that remembers which of its bytes a user wrote.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "text/chat_segment.h"

namespace nautile::jinja {

// Valid UTF-8 with provenance. The user's ranges are ascending, disjoint and never empty; slicing
// and appending keep them, which is how user text is followed through a template.
class Text {
 public:
  Text() = default;
  explicit Text(std::string bytes, Origin origin = Origin::format);

  const std::string& bytes() const { return bytes_; }
  std::string_view view() const { return bytes_; }
  std::size_t size() const { return bytes_.size(); }  // bytes
  bool empty() const { return bytes_.empty(); }
  const std::vector<ByteRange>& user() const { return user_; }
  bool has_user() const { return !user_.empty(); }

  // Bytes [begin, end) with their provenance; the caller cuts on character borders.
  Text slice(std::size_t begin, std::size_t end) const;
  void append(std::string_view bytes, Origin origin);
  void append(const Text& other) { append(other, 0, other.size()); }
  void append(const Text& other, std::size_t begin, std::size_t end);
  // Who wrote the byte at this position.
  Origin origin_at(std::size_t byte) const;
  // Declares every byte the user's.
  void mark_all_user();

  std::vector<Segment> segments() const;

 private:
  void add_range(std::size_t begin, std::size_t end);

  std::string bytes_;
  std::vector<ByteRange> user_;
};

}  // namespace nautile::jinja
