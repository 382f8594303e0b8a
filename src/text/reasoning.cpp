// reasoning.cpp — a state machine that holds back at most a tag and the white space before it.
#include "text/reasoning.h"

#include <algorithm>

namespace nautile {
namespace {

constexpr std::string_view kOpen = "<think>";
constexpr std::string_view kClose = "</think>";

// Length of the longest end of text that is a beginning of tag.
std::size_t partial_match(std::string_view text, std::string_view tag) {
  for (std::size_t n = std::min(text.size(), tag.size() - 1); n > 0; --n) {
    if (text.ends_with(tag.substr(0, n))) return n;
  }
  return 0;
}

}  // namespace

ReasoningSplitter::ReasoningSplitter(ReasoningMode mode)
    : mode_(mode), state_(mode == ReasoningMode::none ? State::content : State::start) {}

ReasoningSplitter::Piece ReasoningSplitter::push(std::string_view text) {
  Piece piece;
  held_ += text;
  while (advance(piece)) {
  }
  return piece;
}

ReasoningSplitter::Piece ReasoningSplitter::finish() {
  Piece piece;
  const bool reasoning =
      state_ == State::reasoning || (state_ == State::start && mode_ == ReasoningMode::inside);
  (reasoning ? piece.reasoning : piece.content) += held_;
  held_.clear();
  state_ = State::content;
  return piece;
}

bool ReasoningSplitter::leave_start(Piece& piece) {
  const std::size_t text = std::min(held_.find_first_not_of(" \t\r\n"), held_.size());
  const std::string_view rest = std::string_view(held_).substr(text);
  if (rest.size() < kOpen.size() && kOpen.starts_with(rest)) return false;  // cannot tell yet
  if (rest.starts_with(kOpen)) {
    piece.reasoning.append(held_, 0, text);
    held_.erase(0, text + kOpen.size());
    state_ = State::reasoning;
  } else {
    state_ = mode_ == ReasoningMode::inside ? State::reasoning : State::content;
  }
  return true;
}

bool ReasoningSplitter::advance(Piece& piece) {
  if (state_ == State::start) return leave_start(piece);
  if (state_ == State::content) {
    piece.content += held_;
    held_.clear();
    return false;
  }
  const std::size_t close = held_.find(kClose);
  if (close != std::string::npos) {
    piece.reasoning.append(held_, 0, close);
    held_.erase(0, close + kClose.size());
    state_ = State::content;
    return true;
  }
  const std::size_t certain = held_.size() - partial_match(held_, kClose);
  piece.reasoning.append(held_, 0, certain);
  held_.erase(0, certain);
  return false;
}

}  // namespace nautile
