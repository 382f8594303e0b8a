#include "text/grammar_vocabulary.h"

#include <algorithm>
#include <limits>
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

TokenTrie::TokenTrie(std::vector<Token> tokens) {
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
      nodes_.push_back({0, static_cast<std::uint32_t>(ids_.size()), kFewBelow,
                        static_cast<std::uint16_t>(open.size()),
                        static_cast<std::uint8_t>(bytes[open.size() - 1])});
    }
    ids_.push_back(token.id);
    depth_ = std::max(depth_, bytes.size());
    last = bytes;
  }
  close(0);
  nodes_.push_back({0, static_cast<std::uint32_t>(ids_.size()), kFewBelow, 0, 0});
  gather_below();
}

void TokenTrie::gather_below() {
  constexpr std::size_t kMany = 32;  // nodes
  std::vector<Bytes> below(size());
  std::vector<std::size_t> parents(size()), path(depth_ + 1);
  for (std::size_t i = 0; i < size(); ++i) {
    path[nodes_[i].depth] = i;
    parents[i] = path[nodes_[i].depth - 1u];
  }
  for (std::size_t i = size(); i-- > 0;) {
    if (nodes_[i].next - i > kMany) {
      nodes_[i].below = static_cast<std::uint32_t>(below_.size());
      below_.push_back(below[i]);
    }
    if (nodes_[i].depth == 1) continue;
    below[parents[i]] |= below[i];
    below[parents[i]].set(nodes_[i].byte);
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
  plain_ = TokenTrie(std::move(plain));
  other_ = TokenTrie(std::move(other));

  const std::size_t words = mask_words();
  plain_masks_.assign((most_chars + 1) * words, 0);
  for (std::size_t i = 0; i < chars.size(); ++i) {
    if (chars[i] > 0) plain_masks_[chars[i] * words + i / 64] |= std::uint64_t{1} << (i % 64);
  }
  for (std::size_t i = words; i < plain_masks_.size(); ++i)
    plain_masks_[i] |= plain_masks_[i - words];

  const TokenTrie trie(std::move(all));
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

std::uint32_t GrammarVocabulary::fewest_tokens(std::string_view bytes) const {
  constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();
  std::vector<std::uint32_t> fewest(bytes.size() + 1, kNone);
  fewest[bytes.size()] = 0;
  for (std::size_t at = bytes.size(); at-- > 0;) {
    std::uint32_t node = 0;
    for (std::size_t i = at; i < bytes.size(); ++i) {
      const auto begin = child_bytes_.begin() + children_[node].begin;
      const auto end = child_bytes_.begin() + children_[node].end;
      const auto byte = static_cast<std::uint8_t>(bytes[i]);
      const auto found = std::lower_bound(begin, end, byte);
      if (found == end || *found != byte) break;
      node = child_nodes_[static_cast<std::size_t>(found - child_bytes_.begin())];
      if (token_ends_[node] && fewest[i + 1] != kNone) {
        fewest[at] = std::min(fewest[at], fewest[i + 1] + 1);
      }
    }
    NAUTILE_ASSERT(fewest[at] != kNone, "a byte of the shortest text has no token");
  }
  return fewest[0];
}

}  // namespace nautile
