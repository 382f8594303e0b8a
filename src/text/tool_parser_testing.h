// tool_parser_testing.h — what a parser tells, gathered: for tests.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "text/tool_parser.h"

namespace nautile {

struct ParsedAnswer {
  std::string content;
  std::vector<ToolCall> calls;
  std::vector<ToolPiece::Ended> ended;  // per call
  std::string order;                    // one letter for each run: c(ontent), or a call's number
  bool operator==(const ParsedAnswer&) const = default;
};

// Gathers pieces, and holds them to the order that the header promises.
class AnswerGatherer {
 public:
  void take(const std::vector<ToolPiece>& pieces) {
    for (const ToolPiece& piece : pieces) take(piece);
  }
  const ParsedAnswer& answer() const { return answer_; }
  bool in_call() const { return answer_.calls.size() > answer_.ended.size(); }

 private:
  void take(const ToolPiece& piece) {
    using Kind = ToolPiece::Kind;
    const auto call = static_cast<std::size_t>(piece.call);
    if (piece.kind == Kind::content) {
      NAUTILE_ASSERT(!in_call() && !piece.text.empty(), "content inside of a call");
      if (!answer_.order.ends_with('c')) answer_.order += 'c';
      answer_.content += piece.text;
    } else if (piece.kind == Kind::begin) {
      NAUTILE_ASSERT(!in_call() && call == answer_.calls.size(), "call {} begins", call);
      NAUTILE_ASSERT(!piece.text.empty(), "a call without a name");
      answer_.order += static_cast<char>('0' + call % 10);
      answer_.calls.push_back({piece.text, ""});
    } else {
      NAUTILE_ASSERT(in_call() && call + 1 == answer_.calls.size(), "not the call {}", call);
      if (piece.kind == Kind::arguments) answer_.calls.back().arguments += piece.text;
      if (piece.kind == Kind::end) answer_.ended.push_back(piece.ended);
    }
  }

  ParsedAnswer answer_;
};

// The answer in pieces of lengths that next() gives.
template <class Next>
ParsedAnswer parse_answer(const ToolFormat& format, const std::vector<std::string>& names,
                          std::string_view text, const Next& next) {
  ToolCallParser parser(format, names);
  AnswerGatherer gatherer;
  while (!text.empty()) {
    const std::size_t n = std::min(static_cast<std::size_t>(next()), text.size());
    gatherer.take(parser.push(text.substr(0, n)));
    text.remove_prefix(n);
  }
  gatherer.take(parser.finish());
  NAUTILE_ASSERT(!gatherer.in_call(), "a call does not end");
  NAUTILE_ASSERT(parser.calls() == static_cast<int>(gatherer.answer().calls.size()), "calls()");
  return gatherer.answer();
}

inline ParsedAnswer parse_answer(const ToolFormat& format, const std::vector<std::string>& names,
                                 std::string_view text) {
  return parse_answer(format, names, text, [&] { return text.size(); });
}

}  // namespace nautile
