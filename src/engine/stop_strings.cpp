// stop_strings.cpp — one Knuth-Morris-Pratt automaton for each stop string, run side by side.
#include "engine/stop_strings.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace nautile::engine {

StopStrings::StopStrings(std::vector<std::string> stops) {
  for (std::string& text : stops) {
    if (text.empty()) fail(ErrorKind::usage, "a stop string is empty");
    // A continuation byte first would match inside a character and cut it.
    if ((static_cast<unsigned char>(text[0]) & 0xC0) == 0x80) {
      fail(ErrorKind::usage, "a stop string begins inside a UTF-8 character (byte 0x{:02x})",
           static_cast<unsigned char>(text[0]));
    }
    Pattern pattern{std::move(text), {}, 0};
    pattern.fallback.assign(pattern.text.size() + 1, 0);
    for (std::size_t i = 1, border = 0; i < pattern.text.size(); ++i) {
      while (border > 0 && pattern.text[i] != pattern.text[border])
        border = pattern.fallback[border];
      if (pattern.text[i] == pattern.text[border]) ++border;
      pattern.fallback[i + 1] = border;
    }
    patterns_.push_back(std::move(pattern));
  }
}

void StopStrings::Pattern::advance(char byte) {
  while (state > 0 && text[state] != byte) state = fallback[state];
  if (text[state] == byte) ++state;
}

std::string StopStrings::feed(std::string_view piece) {
  if (stopped_) return {};
  if (patterns_.empty()) return std::string(piece);
  for (const char byte : piece) {
    held_ += byte;
    const Pattern* found = nullptr;
    for (Pattern& pattern : patterns_) {
      pattern.advance(byte);
      if (pattern.state == pattern.text.size() &&
          (!found || pattern.text.size() > found->text.size())) {
        found = &pattern;
      }
    }
    if (found) {
      stopped_ = true;
      matched_ = found->text;
      held_.resize(held_.size() - matched_.size());
      return std::exchange(held_, {});
    }
  }
  std::size_t keep = 0;
  for (const Pattern& pattern : patterns_) keep = std::max(keep, pattern.state);
  std::string out = held_.substr(0, held_.size() - keep);
  held_.erase(0, out.size());
  return out;
}

std::string StopStrings::flush() {
  for (Pattern& pattern : patterns_) pattern.state = 0;
  return std::exchange(held_, {});
}

void StopStrings::reset() {
  flush();
  matched_.clear();
  stopped_ = false;
}

}  // namespace nautile::engine
