#include "text/grammar_vocabulary.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "text/unicode.h"

namespace nautile {
namespace {

constexpr std::size_t kLongestToken = 4096;  // bytes; longer ones are never used

// Length of what two strings have in common at their beginning.
std::size_t common_prefix(std::string_view a, std::string_view b) {
  const auto limit = static_cast<std::ptrdiff_t>(std::min(a.size(), b.size()));
  return static_cast<std::size_t>(std::mismatch(a.begin(), a.begin() + limit, b.begin()).first -
                                  a.begin());
}

bool is_plain(char32_t c) {
  return c >= 0x20 && c != '"' && c != '\\' && c != 0x2028 && c != 0x2029;
}

}  // namespace

std::size_t plain_characters(std::string_view bytes) {
  if (valid_utf8_prefix(bytes) != bytes.size()) return 0;
  std::size_t count = 0;
  for (std::size_t at = 0; at < bytes.size(); ++count) {
    const Rune rune = decode_rune(bytes.data() + at);
    if (!is_plain(rune.code)) return 0;
    at += static_cast<std::size_t>(rune.length);
  }
  return count;
}

TokenTrie::TokenTrie(std::vector<Token> tokens, Made made) : made_(made) {
  std::sort(tokens.begin(), tokens.end(), [](const Token& a, const Token& b) {
    return std::pair(std::string_view(a.bytes), a.id) < std::pair(std::string_view(b.bytes), b.id);
  });
  nodes_.clear();
  std::vector<std::size_t> open;  // nodes of the last token's bytes
  std::string_view last;
  const auto close = [&](std::size_t keep) {
    while (open.size() > keep) {
      nodes_[open.back()].next = static_cast<std::uint32_t>(nodes_.size());
      open.pop_back();
    }
  };
  for (const Token& token : tokens) {
    const std::string_view bytes = token.bytes;
    close(common_prefix(bytes, last));
    while (open.size() < bytes.size()) {
      open.push_back(nodes_.size());
      nodes_.push_back({0, static_cast<std::uint32_t>(ids_.size()), kNotKept,
                        static_cast<std::uint16_t>(open.size()),
                        static_cast<std::uint8_t>(bytes[open.size() - 1])});
    }
    ids_.push_back(token.id);
    depth_ = std::max(depth_, bytes.size());
    last = bytes;
  }
  close(0);
  nodes_.push_back({0, static_cast<std::uint32_t>(ids_.size()), kNotKept, 0, 0});
  gather_below();
}

void TokenTrie::gather_below() {
  constexpr std::size_t kMany = 3;  // nodes
  std::vector<Bytes> below(size());
  std::vector<std::uint32_t> parents(size()), path(depth_ + 1);
  std::vector<std::uint8_t> owed(depth_ + 1);  // bytes of a character that are to come, by depth
  std::vector<bool> between(size(), true);     // characters
  for (std::size_t i = 0; i < size(); ++i) {
    const Node& node = nodes_[i];
    path[node.depth] = static_cast<std::uint32_t>(i);
    parents[i] = path[node.depth - 1u];
    if (made_ == Made::of_bytes) continue;
    std::uint8_t& rest = owed[node.depth];
    if (node.byte < 0x80) {
      rest = 0;
    } else if (node.byte < 0xC0) {
      rest = static_cast<std::uint8_t>(owed[node.depth - 1u] - 1);
    } else {
      rest = node.byte < 0xE0 ? 1 : node.byte < 0xF0 ? 2 : 3;
    }
    between[i] = rest == 0;
  }
  for (std::size_t i = size(); i-- > 0;) {
    if (between[i] && nodes_[i].next - i > kMany) {
      nodes_[i].below = static_cast<std::uint32_t>(below_.size());
      below_.push_back(below[i]);
    }
    if (nodes_[i].depth == 1) continue;
    Bytes& above = below[parents[i]];
    for (std::size_t w = 0; w < above.size(); ++w) above[w] |= below[i][w];
    above[nodes_[i].byte / 64] |= std::uint64_t{1} << (nodes_[i].byte % 64);
  }
}

GrammarVocabulary::GrammarVocabulary(const Tokenizer& tokenizer)
    : size_(tokenizer.vocab_size()), end_ids_(tokenizer.stop_ids()) {
  bytes_.resize(static_cast<std::size_t>(size_));
  for (TokenId id = 0; id < size_; ++id) {
    if (tokenizer.is_added(id)) continue;
    tokenizer.append_bytes(id, SkipSpecial::no, bytes_[static_cast<std::size_t>(id)]);
  }
  for (const AddedToken& token : tokenizer.added_tokens()) {
    if (!token.content.empty()) special_.emplace(token.content, token.id);
  }
  build();
}

GrammarVocabulary::GrammarVocabulary(const std::vector<std::string>& tokens,
                                     std::vector<TokenId> end_ids,
                                     std::map<std::string, TokenId, std::less<>> special)
    : size_(static_cast<std::int32_t>(tokens.size())),
      bytes_(tokens),
      end_ids_(std::move(end_ids)),
      special_(std::move(special)) {
  for (const auto& [text, id] : special_) size_ = std::max(size_, id + 1);
  for (const TokenId id : end_ids_) size_ = std::max(size_, id + 1);
  bytes_.resize(static_cast<std::size_t>(size_));
  build();
}

void GrammarVocabulary::build() {
  NAUTILE_CHECK(!end_ids_.empty(),
                "the vocabulary has no end token: a constrained text could not end");
  for (const TokenId id : end_ids_) bytes_[static_cast<std::size_t>(id)].clear();
  std::vector<TokenTrie::Token> plain, other, all;
  std::vector<std::size_t> chars(bytes_.size());
  std::size_t most_chars = 0;
  for (std::size_t i = 0; i < bytes_.size(); ++i) {
    std::string& bytes = bytes_[i];
    if (bytes.size() > kLongestToken) bytes.clear();
    if (bytes.empty()) continue;
    if (bytes.size() == 1) single_[static_cast<std::uint8_t>(bytes[0])] = true;
    max_bytes_ = std::max(max_bytes_, bytes.size());
    chars[i] = plain_characters(bytes);
    if (chars[i] > kSliceChars) chars[i] = 0;
    most_chars = std::max(most_chars, chars[i]);
    const TokenTrie::Token token{bytes, static_cast<TokenId>(i)};
    (chars[i] > 0 ? plain : other).push_back(token);
    all.push_back(token);
  }
  plain_ = TokenTrie(std::move(plain), TokenTrie::Made::of_characters);
  other_ = TokenTrie(std::move(other), TokenTrie::Made::of_bytes);

  const std::size_t words = mask_words();
  plain_masks_.assign((most_chars + 1) * words, 0);
  for (std::size_t i = 0; i < chars.size(); ++i) {
    if (chars[i] > 0) plain_masks_[chars[i] * words + i / 64] |= std::uint64_t{1} << (i % 64);
  }
  for (std::size_t i = words; i < plain_masks_.size(); ++i)
    plain_masks_[i] |= plain_masks_[i - words];

  const TokenTrie trie(std::move(all), TokenTrie::Made::of_bytes);
  children_.resize(trie.size() + 1);
  token_ends_.resize(trie.size() + 1);
  // Node i + 1 is the trie's node i; node 0 is the root.
  const auto list_children = [&](std::size_t parent, std::size_t from, std::size_t to) {
    children_[parent].begin = static_cast<std::uint32_t>(child_bytes_.size());
    for (std::size_t i = from; i < to; i = trie.node(i).next) {
      child_bytes_.push_back(trie.node(i).byte);
      child_nodes_.push_back(static_cast<std::uint32_t>(i + 1));
    }
    children_[parent].end = static_cast<std::uint32_t>(child_bytes_.size());
  };
  list_children(0, 0, trie.size());
  for (std::size_t i = 0; i < trie.size(); ++i) {
    list_children(i + 1, i + 1, trie.node(i).next);
    token_ends_[i + 1] = !trie.tokens(i).empty();
  }
}

std::uint32_t GrammarVocabulary::child(std::uint32_t node, std::uint8_t byte) const {
  const auto begin = child_bytes_.begin() + children_[node].begin;
  const auto end = child_bytes_.begin() + children_[node].end;
  const auto found = std::lower_bound(begin, end, byte);
  if (found == end || *found != byte) return kRoot;
  return child_nodes_[static_cast<std::size_t>(found - child_bytes_.begin())];
}

}  // namespace nautile
