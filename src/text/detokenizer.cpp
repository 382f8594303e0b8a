// detokenizer.cpp — holds back the bytes of an unfinished character.
#include "text/detokenizer.h"

#include <algorithm>

#include "text/unicode.h"

namespace nautile {

std::string Detokenizer::feed(TokenId id) {
  tokenizer_.append_bytes(id, skip_, held_);
  return drain();
}

std::string Detokenizer::feed(std::span<const TokenId> ids) {
  for (const TokenId id : ids) tokenizer_.append_bytes(id, skip_, held_);
  return drain();
}

// Everything but a last, unfinished character. Only the last three bytes can belong to one.
std::string Detokenizer::drain() {
  std::size_t ready = held_.size();
  const std::size_t back = std::min<std::size_t>(3, held_.size());
  for (std::size_t at = held_.size() - back; at < held_.size(); ++at) {
    const std::string_view tail = std::string_view(held_).substr(at);
    const bool lead = static_cast<unsigned char>(tail[0]) >= 0xC2;
    if (lead && utf8_step(tail).kind == Utf8Step::Kind::truncated) {
      ready = at;
      break;
    }
  }
  std::string out = replace_invalid_utf8(std::string_view(held_).substr(0, ready));
  held_.erase(0, ready);
  return out;
}

std::string Detokenizer::flush() {
  std::string out = replace_invalid_utf8(held_);
  held_.clear();
  return out;
}

}  // namespace nautile
