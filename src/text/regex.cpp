#include "text/regex.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "text/unicode.h"

namespace nautile {
namespace {

constexpr std::size_t kMaxNodes = 50'000;

}  // namespace

Regex::Regex(std::string_view pattern) {
  if (pattern.size() > kMaxBytes) {
    fail(ErrorKind::unsupported, "a regular expression of {} bytes; at most {} are read",
         pattern.size(), kMaxBytes);
  }
  NAUTILE_CHECK(valid_utf8_prefix(pattern) == pattern.size(), "regular expression {}: not UTF-8",
                printable(pattern, 60));
  add({});
  add({.kind = Kind::empty, .nullable = true});
  root_ = parse(pattern);
}

Regex::NodeId Regex::add(Node node) const {
  if (nodes_.size() >= kMaxNodes) {
    fail(ErrorKind::unsupported, "a regular expression of more than {} parts", kMaxNodes);
  }
  nodes_.push_back(std::move(node));
  return static_cast<NodeId>(nodes_.size() - 1);
}

Regex::NodeId Regex::chars(CharSet set) const {
  return set.empty() ? kNever : add({.kind = Kind::chars, .set = std::move(set)});
}

Regex::NodeId Regex::seq(std::vector<NodeId> parts) const {
  if (std::find(parts.begin(), parts.end(), kNever) != parts.end()) return kNever;
  std::erase(parts, kEmpty);
  if (parts.size() <= 1) return parts.empty() ? kEmpty : parts[0];
  Node node{.kind = Kind::seq, .nullable = true};
  for (const NodeId part : parts) {
    node.nullable = node.nullable && nodes_[part].nullable;
    node.anchored = node.anchored || nodes_[part].anchored;
  }
  node.parts = std::move(parts);
  return add(std::move(node));
}

Regex::NodeId Regex::alt(std::vector<NodeId> parts) const {
  std::erase(parts, kNever);
  if (parts.size() <= 1) return parts.empty() ? kNever : parts[0];
  Node node{.kind = Kind::alt};
  for (const NodeId part : parts) {
    node.nullable = node.nullable || nodes_[part].nullable;
    node.anchored = node.anchored || nodes_[part].anchored;
  }
  node.parts = std::move(parts);
  return add(std::move(node));
}

Regex::NodeId Regex::repeat(NodeId part, std::uint32_t min, std::uint32_t max) const {
  if (max == 0 || part == kEmpty) return kEmpty;
  if (min == 1 && max == 1) return part;
  const bool nullable = min == 0 || nodes_[part].nullable;
  const bool anchored = nodes_[part].anchored;
  return add({.kind = Kind::repeat,
              .parts = {part},
              .min = min,
              .max = max,
              .nullable = nullable,
              .anchored = anchored});
}

// `anchor` is begin or end. A sequence is taken from the border inwards: what is at the border is
// there only if all before it has matched nothing.
Regex::Split Regex::split(NodeId id, Kind anchor) const {
  const Node n = nodes_[id];
  if (!n.anchored) return {kNever, id};
  if (n.kind == anchor) return {kEmpty, kNever};
  if (n.kind == Kind::alt) {
    std::vector<NodeId> at_border, anywhere;
    for (const NodeId part : n.parts) {
      const Split s = split(part, anchor);
      at_border.push_back(s.at_border);
      anywhere.push_back(s.anywhere);
    }
    return {alt(std::move(at_border)), alt(std::move(anywhere))};
  }
  if (n.kind == Kind::repeat) {  // of at most one
    const Split s = split(n.parts[0], anchor);
    return {s.at_border, n.min == 0 ? alt({kEmpty, s.anywhere}) : s.anywhere};
  }
  if (n.kind != Kind::seq) return {kNever, id};  // the other anchor
  const bool from_begin = anchor == Kind::begin;
  std::vector<NodeId> parts = n.parts;
  if (from_begin) std::reverse(parts.begin(), parts.end());
  Split rest{kNever, kEmpty};
  for (const NodeId part : parts) {
    const Split s = split(part, anchor);
    const auto join = [&](NodeId outer, NodeId inner) {
      return from_begin ? seq({outer, inner}) : seq({inner, outer});
    };
    const bool may_be_empty = nodes_[s.at_border].nullable || nodes_[s.anywhere].nullable;
    const NodeId pending = may_be_empty ? rest.at_border : kNever;
    rest = {alt({join(s.at_border, rest.anywhere), pending}), join(s.anywhere, rest.anywhere)};
  }
  return rest;
}

Regex::NodeId Regex::language(Match match) const {
  const NodeId any = repeat(chars(CharSet::all()), 0, GrammarRules::kForever);
  const NodeId around = match == Match::part ? any : kEmpty;
  const Split begin = split(root_, Kind::begin);
  const Split begun = split(begin.at_border, Kind::end);
  const Split inner = split(begin.anywhere, Kind::end);
  return alt({begun.at_border, seq({begun.anywhere, around}), seq({around, inner.at_border}),
              seq({around, inner.anywhere, around})});
}

}  // namespace nautile
