// added_tokens.cpp — a byte trie, and the rules for words and white space around a token.
#include "text/added_tokens.h"

#include <algorithm>

#include "base/error.h"
#include "text/unicode.h"

namespace nautile {
namespace {

constexpr std::size_t kMaxContent = 1024;

unsigned bits_after(std::string_view text, std::size_t at) {
  return CharTable::get().bits(decode_rune(text.data() + at).code);
}
unsigned bits_before(std::string_view text, std::size_t at) {
  return CharTable::get().bits(decode_last_rune(text.data(), text.data() + at).code);
}

// Start of the white space that ends at `at`.
std::size_t space_before(std::string_view text, std::size_t at, std::size_t least) {
  while (at > least && (bits_before(text, at) & kSpace)) {
    at -= static_cast<std::size_t>(decode_last_rune(text.data(), text.data() + at).length);
  }
  return at;
}
std::size_t space_after(std::string_view text, std::size_t at) {
  while (at < text.size() && (bits_after(text, at) & kSpace)) {
    at += static_cast<std::size_t>(decode_rune(text.data() + at).length);
  }
  return at;
}

}  // namespace

void AddedTokenSet::add(const AddedToken& token) {
  if (token.content.empty()) return;
  NAUTILE_CHECK(token.content.size() <= kMaxContent,
                "added token {} (\"{}\") has {} bytes; the limit is {}", token.id,
                brief(token.content), token.content.size(), kMaxContent);
  NAUTILE_CHECK(valid_utf8_prefix(token.content) == token.content.size(),
                "added token {} (\"{}\") is not valid UTF-8", token.id, brief(token.content));
  std::int32_t* link = &roots_[static_cast<unsigned char>(token.content[0])];
  std::int32_t node = -1;
  for (const char byte : token.content) {
    if (node >= 0) link = &nodes_[static_cast<std::size_t>(node)].child;
    node = node < 0 ? *link : child_of(*link, byte);
    if (node < 0) {
      node = static_cast<std::int32_t>(nodes_.size());
      const Node fresh{-1, *link, -1, byte};
      *link = node;
      nodes_.push_back(fresh);
    }
  }
  nodes_[static_cast<std::size_t>(node)].token = static_cast<std::int32_t>(tokens_.size());
  tokens_.push_back(token);
}

std::int32_t AddedTokenSet::child_of(std::int32_t first, char byte) const {
  while (first >= 0 && nodes_[static_cast<std::size_t>(first)].byte != byte) {
    first = nodes_[static_cast<std::size_t>(first)].sibling;
  }
  return first;
}

std::int32_t AddedTokenSet::longest(std::string_view text, std::size_t at,
                                    std::size_t& length) const {
  std::int32_t node = roots_[static_cast<unsigned char>(text[at])];
  std::int32_t found = -1;
  for (std::size_t i = at; node >= 0;) {
    const Node& n = nodes_[static_cast<std::size_t>(node)];
    ++i;
    if (n.token >= 0) {
      found = n.token;
      length = i - at;
    }
    node = i < text.size() ? child_of(n.child, text[i]) : -1;
  }
  return found;
}

bool AddedTokenSet::stands_alone(std::string_view text, std::size_t begin, std::size_t end) const {
  return (begin == 0 || !(bits_before(text, begin) & kWord)) &&
         (end == text.size() || !(bits_after(text, end) & kWord));
}

std::vector<AddedTokenSet::Part> AddedTokenSet::split(std::string_view text,
                                                      std::span<const ByteRange> blocked) const {
  std::vector<Part> parts;
  std::size_t done = 0;
  std::size_t range = 0;  // first blocked range that ends after `at`
  for (std::size_t at = 0; at < text.size();) {
    if (roots_[static_cast<unsigned char>(text[at])] < 0) {
      ++at;
      continue;
    }
    while (range < blocked.size() && blocked[range].end <= at) ++range;
    if (range < blocked.size() && blocked[range].begin <= at) {
      at = blocked[range].end;
      continue;
    }
    const std::size_t limit = range < blocked.size() ? blocked[range].begin : text.size();
    std::size_t length = 0;
    const std::int32_t found = longest(text.substr(0, limit), at, length);
    if (found < 0) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[static_cast<std::size_t>(found)];
    std::size_t begin = at, end = at + length;
    at = end;  // the search goes on behind the match, even if the match is then dismissed
    if (token.single_word && !stands_alone(text, begin, end)) continue;
    if (token.lstrip) begin = space_before(text, begin, std::min(begin, done));
    if (token.rstrip) end = space_after(text, end);
    if (done < begin) parts.push_back({kNoToken, text.substr(done, begin - done)});
    parts.push_back({token.id, text.substr(begin, end - begin)});
    done = end;
  }
  if (done < text.size()) parts.push_back({kNoToken, text.substr(done)});
  return parts;
}

}  // namespace nautile
