#include "train/words.h"

#include <xxhash.h>

#include <array>
#include <string>

namespace nautile::train {
namespace {

// What a byte is in a word: itself in lower case, or 0 where it parts words.
constexpr std::array<unsigned char, 256> kFold = [] {
  std::array<unsigned char, 256> fold{};
  for (std::size_t c = 0; c < 256; ++c) {
    const bool upper = c >= 'A' && c <= 'Z';
    const bool other = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c >= 0x80;
    fold[c] = static_cast<unsigned char>(upper ? c - 'A' + 'a' : other ? c : 0);
  }
  return fold;
}();

}  // namespace

std::vector<std::uint64_t> word_hashes(std::string_view text, std::vector<std::size_t>* begins) {
  std::vector<std::uint64_t> hashes;
  std::string word;
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    const unsigned char c = i < text.size() ? kFold[static_cast<unsigned char>(text[i])] : 0;
    if (c != 0) {
      if (word.empty()) begin = i;
      word.push_back(static_cast<char>(c));
    } else if (!word.empty()) {
      hashes.push_back(XXH3_64bits(word.data(), word.size()));
      if (begins) begins->push_back(begin);
      word.clear();
    }
  }
  return hashes;
}

}  // namespace nautile::train
