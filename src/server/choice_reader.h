// choice_reader.h — ChoiceReader: from what a model says to reasoning, content and calls.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/delta.h"
#include "text/reasoning.h"
#include "text/tool_parser.h"

namespace nautile::server {

// Of one choice. How the text is cut does not change what comes out, but for where it is cut.
// Line ends between a closed reasoning and the content are left out. Tokens go with the text that
// they begin; those of tags and calls go with none.
class ChoiceReader {
 public:
  // `tools` may be null: calls are not looked for.
  ChoiceReader(int choice, ReasoningMode reasoning, const ToolFormat* tools,
               std::vector<std::string> names);

  std::vector<Delta> push(std::string_view text, std::vector<engine::TokenLogprob> tokens);
  // The end of the text; without the delta `finished`.
  std::vector<Delta> finish();

  std::int64_t reasoning_tokens() const { return reasoning_tokens_; }
  int calls() const { return parser_ ? parser_->calls() : 0; }

 private:
  void take(const ReasoningSplitter::Piece& piece, std::vector<Delta>& deltas);
  void add_content(std::string_view text, std::vector<Delta>& deltas);
  void add(Delta::Kind kind, std::string_view text, std::vector<Delta>& deltas);
  void add_pieces(const std::vector<ToolPiece>& pieces, std::vector<Delta>& deltas);

  int choice_;
  ReasoningSplitter splitter_;
  std::optional<ToolCallParser> parser_;
  enum class Phase { undecided, reasoning, content } phase_;
  bool content_begun_ = false;
  std::vector<engine::TokenLogprob> tokens_;  // that no delta has taken yet
  std::int64_t reasoning_tokens_ = 0;
};

}  // namespace nautile::server
