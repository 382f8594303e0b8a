// chat_segment.h — rendered text cut by who wrote it: the chat format, or a user.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace nautile {

// Who wrote a byte of a prompt. Only bytes of origin `format` may become control tokens.
enum class Origin {
  format,  // the template's or native format's own text
  user,    // message contents, names, tools: anything that came from outside
};

// A run of bytes of one origin. Segments never overlap; joined they are the prompt.
struct Segment {
  std::string text;
  Origin origin = Origin::format;
};

// Bytes [begin, end) of a joined text in which no control token may begin, end or lie.
struct ByteRange {
  std::size_t begin = 0;
  std::size_t end = 0;
  bool operator==(const ByteRange&) const = default;
};

// The texts of all segments in order.
inline std::string joined(const std::vector<Segment>& segments) {
  std::string text;
  for (const Segment& segment : segments) text += segment.text;
  return text;
}

// The byte ranges of joined(segments) that users wrote, ascending and disjoint.
inline std::vector<ByteRange> user_ranges(const std::vector<Segment>& segments) {
  std::vector<ByteRange> ranges;
  std::size_t at = 0;
  for (const Segment& segment : segments) {
    const std::size_t end = at + segment.text.size();
    if (segment.origin == Origin::user && end > at) {
      if (!ranges.empty() && ranges.back().end == at) {
        ranges.back().end = end;
      } else {
        ranges.push_back({at, end});
      }
    }
    at = end;
  }
  return ranges;
}

}  // namespace nautile
