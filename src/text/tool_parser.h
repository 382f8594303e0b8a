// tool_parser.h — ToolCallParser: tells calls of tools from what else a model says, as it comes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/tool_format.h"

namespace nautile {

// Of one answer, in order. A call is one `begin`, any number of `arguments`, one `end`; then the
// next.
struct ToolPiece {
  enum class Kind : std::uint8_t { content, begin, arguments, end } kind = Kind::content;
  int call = 0;  // 0, 1, …: which call; not of content
  std::string
      text;  // content; `begin`: the name; `arguments`: the next of their bytes; `end`: none
  enum class Ended : std::uint8_t {
    whole,                 // the arguments are a JSON object
    broken,                // they are not: all that stood there, up to where the format ends a call
    cut,                   // the text ended first
  } ended = Ended::whole;  // of `end`
  bool operator==(const ToolPiece&) const = default;
};

// Takes the answer's text (after ReasoningSplitter, special tokens shown if
// marks_by_special_token()) in pieces; how it is cut does not change what comes out, but for where
// content and arguments are cut. Whole characters in, whole characters out.
//
// - Nothing of a marker is in content, nor is white space before the first call if that is all, nor
//   between calls, nor after them at the end.
// - What does not come to a name and the beginning of an object is content, markers and all; from
//   there on it is a call, whatever follows. A call without arguments has "{}".
// - Members of a call's object may stand in any order; arguments as a JSON string count as the text
//   that they hold; "arguments" and "parameters" mean the same.
// - Text after the calls is content again.
class ToolCallParser {
 public:
  // `names`: of the tools that are offered. Where the format has no markers, only objects that name
  // one of these are calls; elsewhere a name is not compared. The format must outlive this.
  ToolCallParser(const ToolFormat& format, std::vector<std::string> names);
  ~ToolCallParser();
  ToolCallParser(ToolCallParser&&) noexcept;
  ToolCallParser& operator=(ToolCallParser&&) noexcept;

  // Neighbouring pieces of content, and of one call's arguments, come joined.
  std::vector<ToolPiece> push(std::string_view text);
  // The end of the text: what was held back.
  std::vector<ToolPiece> finish();

  int calls() const;  // begun so far

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace nautile
