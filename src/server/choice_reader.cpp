// choice_reader.cpp — the splitter first, then the parser of calls on what is content.
#include "server/choice_reader.h"

#include <iterator>
#include <utility>

#include "server/ids.h"

namespace nautile::server {

ChoiceReader::ChoiceReader(int choice, ReasoningMode reasoning, const ToolFormat* tools,
                           std::vector<std::string> names)
    : choice_(choice), splitter_(reasoning) {
  if (tools != nullptr) parser_.emplace(*tools, std::move(names));
  phase_ = reasoning == ReasoningMode::none     ? Phase::content
           : reasoning == ReasoningMode::inside ? Phase::reasoning
                                                : Phase::undecided;
  content_begun_ = phase_ == Phase::content;
}

std::vector<Delta> ChoiceReader::push(std::string_view text,
                                      std::vector<engine::TokenLogprob> tokens) {
  std::vector<Delta> deltas;
  const auto count = static_cast<std::int64_t>(tokens.size());
  tokens_.insert(tokens_.end(), std::make_move_iterator(tokens.begin()),
                 std::make_move_iterator(tokens.end()));
  if (phase_ == Phase::content) {
    add_content(text, deltas);
    return deltas;
  }
  const ReasoningSplitter::Piece piece = splitter_.push(text);
  const bool answered = !piece.content.empty();
  const bool reasons = splitter_.in_reasoning() || !piece.reasoning.empty();
  if (phase_ == Phase::undecided && reasons) {
    phase_ = Phase::reasoning;
    reasoning_tokens_ += static_cast<std::int64_t>(tokens_.size()) - count;
  }
  // The token that brings the first content is the content's.
  if (phase_ == Phase::reasoning && !answered) reasoning_tokens_ += count;
  take(piece, deltas);
  return deltas;
}

void ChoiceReader::take(const ReasoningSplitter::Piece& piece, std::vector<Delta>& deltas) {
  if (!piece.reasoning.empty()) add(Delta::Kind::reasoning, piece.reasoning, deltas);
  if (piece.content.empty()) return;
  content_begun_ = phase_ != Phase::reasoning;
  // What still waits was taken up by the tag.
  if (phase_ == Phase::reasoning && tokens_.size() > 1)
    tokens_.erase(tokens_.begin(), tokens_.end() - 1);
  phase_ = Phase::content;
  add_content(piece.content, deltas);
}

std::vector<Delta> ChoiceReader::finish() {
  std::vector<Delta> deltas;
  if (phase_ != Phase::content) take(splitter_.finish(), deltas);
  if (parser_) add_pieces(parser_->finish(), deltas);
  return deltas;
}

void ChoiceReader::add_content(std::string_view text, std::vector<Delta>& deltas) {
  if (!content_begun_) {
    text.remove_prefix(std::min(text.find_first_not_of("\r\n"), text.size()));
    content_begun_ = !text.empty();
  }
  if (text.empty()) return;
  if (parser_) {
    add_pieces(parser_->push(text), deltas);
  } else {
    add(Delta::Kind::content, text, deltas);
  }
}

void ChoiceReader::add(Delta::Kind kind, std::string_view text, std::vector<Delta>& deltas) {
  Delta delta;
  delta.kind = kind;
  delta.choice = choice_;
  delta.text = text;
  delta.tokens = std::exchange(tokens_, {});
  deltas.push_back(std::move(delta));
}

void ChoiceReader::add_pieces(const std::vector<ToolPiece>& pieces, std::vector<Delta>& deltas) {
  for (const ToolPiece& piece : pieces) {
    if (piece.kind == ToolPiece::Kind::content) {
      add(Delta::Kind::content, piece.text, deltas);
      continue;
    }
    tokens_.clear();
    Delta delta;
    delta.choice = choice_;
    delta.call = piece.call;
    delta.text = piece.text;
    if (piece.kind == ToolPiece::Kind::begin) {
      delta.kind = Delta::Kind::call;
      delta.call_id = new_id("call_");
    } else if (piece.kind == ToolPiece::Kind::arguments) {
      delta.kind = Delta::Kind::arguments;
    } else {
      delta.kind = Delta::Kind::call_ended;
    }
    deltas.push_back(std::move(delta));
  }
}

}  // namespace nautile::server
