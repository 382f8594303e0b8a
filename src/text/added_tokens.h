// added_tokens.h — finds the tokens that a tokenizer adds to its model inside a text.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/bpe_vocab.h"
#include "text/chat_segment.h"

namespace nautile {

// One entry of `added_tokens`; the flags mean what they mean to the `tokenizers` library.
struct AddedToken {
  TokenId id = kNoToken;
  std::string content;
  bool special = false;      // left out by decode with SkipSpecial::yes
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // takes the white space after it
  bool single_word = false;  // only where no word character touches it
  bool normalized = false;   // searched in the normalized text
};

// A set of tokens to search for: leftmost, then longest. O(text * longest token).
class AddedTokenSet {
 public:
  // A part of a text: an added token's place, or (id kNoToken) text between.
  struct Part {
    TokenId id;
    std::string_view text;
  };

  // Tokens of empty content are ignored; of several with one content the last wins.
  // Throws Error(bad_input) if a content is longer than 1,024 bytes or no UTF-8.
  void add(const AddedToken& token);
  bool empty() const { return nodes_.empty(); }

  // Cuts valid UTF-8 into its parts, in order; no part of text is empty.
  std::vector<Part> split(std::string_view text) const { return split(text, {}); }
  // The same, with tokens only where they touch no byte of `blocked` (ascending, disjoint).
  std::vector<Part> split(std::string_view text, std::span<const ByteRange> blocked) const;

 private:
  struct Node {
    std::int32_t child = -1;    // first child
    std::int32_t sibling = -1;  // next child of the same parent
    std::int32_t token = -1;    // index into tokens_ that ends here
    char byte = 0;
  };
  std::int32_t child_of(std::int32_t first, char byte) const;
  // The longest token at `at`, or -1; sets its length.
  std::int32_t longest(std::string_view text, std::size_t at, std::size_t& length) const;
  bool stands_alone(std::string_view text, std::size_t begin, std::size_t end) const;

  std::vector<AddedToken> tokens_;
  std::vector<Node> nodes_;
  std::array<std::int32_t, 256> roots_ = [] {
    std::array<std::int32_t, 256> none{};
    none.fill(-1);
    return none;
  }();
};

}  // namespace nautile
