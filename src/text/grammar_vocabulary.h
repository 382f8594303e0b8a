// grammar_vocabulary.h — the tokens of a vocabulary as a trie over their bytes, to walk grammars
// by.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/bpe_vocab.h"
#include "text/tokenizer.h"

namespace nautile {

// Tokens in order of their bytes; a node is one byte more than its parent, and comes before its
// children.
class TokenTrie {
 public:
  struct Node {
    std::uint32_t next;         // the node after this one's last descendant
    std::uint32_t first_token;  // tokens() from here to the next node's first_token end here
    std::uint32_t below;        // see below()
    std::uint16_t depth;        // bytes from the root; the first have 1
    std::uint8_t byte;
  };
  using Bytes = std::array<std::uint64_t, 4>;  // a set of them
  struct Token {
    std::string bytes;
    TokenId id;
  };
  // characters: all tokens are whole characters in UTF-8.
  enum class Made : std::uint8_t { of_bytes, of_characters };

  TokenTrie() = default;
  TokenTrie(std::vector<Token> tokens, Made made);

  Made made() const { return made_; }
  std::size_t size() const { return nodes_.size() - 1; }
  const Node& node(std::size_t i) const { return nodes_[i]; }
  std::span<const TokenId> tokens(std::size_t i) const {
    return std::span(ids_).subspan(nodes_[i].first_token,
                                   nodes_[i + 1].first_token - nodes_[i].first_token);
  }
  // The tokens of the node and of all below it.
  std::span<const TokenId> tokens_from(std::size_t i) const {
    return std::span(ids_).subspan(nodes_[i].first_token,
                                   nodes_[nodes_[i].next].first_token - nodes_[i].first_token);
  }
  // The bytes of all nodes below, where there are some and, in a trie of characters, the node ends
  // one; else null.
  const Bytes* below(std::size_t i) const {
    return nodes_[i].below == kNotKept ? nullptr : &below_[nodes_[i].below];
  }
  std::size_t depth() const { return depth_; }  // of the deepest node

 private:
  static constexpr std::uint32_t kNotKept = 0xFFFFFFFF;
  void gather_below();

  Made made_ = Made::of_bytes;
  std::vector<Node> nodes_ = {Node{0, 0, kNotKept, 0, 0}};  // and a sentinel
  std::vector<Bytes> below_;
  std::vector<TokenId> ids_;
  std::size_t depth_ = 0;
};

// What a grammar needs to know of a vocabulary. Immutable; const use from many threads is safe.
//
// Tokens of whole "plain" characters are kept apart, because most states inside of a JSON string
// accept all of them alike: plain is any character but control characters, '"', '\\', U+2028 and
// U+2029; tokens of more than kSliceChars characters count among the others.
class GrammarVocabulary {
 public:
  static constexpr std::size_t kSliceChars = 24;

  // Added tokens are no text: grammars reach them by name only; the tokenizer's stop ids end a
  // text.
  explicit GrammarVocabulary(const Tokenizer& tokenizer);
  // Token i has the bytes tokens[i] (empty: none).
  GrammarVocabulary(const std::vector<std::string>& tokens, std::vector<TokenId> end_ids,
                    std::map<std::string, TokenId, std::less<>> special = {});

  std::int32_t size() const { return size_; }  // one past the largest id
  std::size_t mask_words() const { return (static_cast<std::size_t>(size_) + 63) / 64; }
  const std::vector<TokenId>& end_ids() const { return end_ids_; }
  // Special tokens by their text.
  const std::map<std::string, TokenId, std::less<>>& special() const { return special_; }
  const std::string& bytes(TokenId id) const { return bytes_[static_cast<std::size_t>(id)]; }

  // Whether one token is exactly this byte: only such bytes are ever used, so that whatever was
  // begun can be ended.
  bool spells(std::uint8_t byte) const { return single_[byte]; }
  std::size_t max_bytes() const { return max_bytes_; }  // of the longest token

  const TokenTrie& plain() const { return plain_; }
  const TokenTrie& other() const { return other_; }
  // The mask of plain tokens of at most `chars` characters, and the most that there are.
  std::span<const std::uint64_t> plain_mask(std::size_t chars) const {
    return std::span(plain_masks_).subspan(chars * mask_words(), mask_words());
  }
  std::size_t plain_chars() const { return plain_masks_.size() / mask_words() - 1; }

  // A trie of all tokens, to go down by single bytes: from a node, or kRoot where there is none.
  static constexpr std::uint32_t kRoot = 0;
  std::uint32_t child(std::uint32_t node, std::uint8_t byte) const;
  bool is_token(std::uint32_t node) const { return token_ends_[node]; }

 private:
  void build();

  std::int32_t size_ = 0;
  std::vector<std::string> bytes_;  // per id; empty for what is no text
  std::vector<TokenId> end_ids_;
  std::map<std::string, TokenId, std::less<>> special_;
  std::array<bool, 256> single_{};
  std::size_t max_bytes_ = 0;
  TokenTrie plain_, other_;
  std::vector<std::uint64_t> plain_masks_;
  // Children of the nodes of a trie of all tokens: (parent, byte) -> node; token_ends_ per node.
  struct Child {
    std::uint32_t begin, end;
  };
  std::vector<Child> children_;
  std::vector<std::uint8_t> child_bytes_;
  std::vector<std::uint32_t> child_nodes_;
  std::vector<bool> token_ends_;
};

// Whether `bytes` are whole plain characters, and how many (0 if not).
std::size_t plain_characters(std::string_view bytes);

}  // namespace nautile
