#include "text/grammar_rules.h"

#include <algorithm>

#include "base/error.h"

namespace nautile {

GrammarRules::GrammarRules() {
  add({.kind = Kind::never});
  texts_.emplace_back();
  add({.kind = Kind::literal});
}

ExprId GrammarRules::add(const Expr& e) {
  if (exprs_.size() + children_.size() >= kMaxExprs) {
    fail(ErrorKind::unsupported, "the grammar comes to more than {} expressions", kMaxExprs);
  }
  exprs_.push_back(e);
  return static_cast<ExprId>(exprs_.size() - 1);
}

ExprId GrammarRules::literal(std::string_view bytes) {
  if (bytes.empty()) return kEmpty;
  texts_.emplace_back(bytes);
  return add({.kind = Kind::literal, .first = static_cast<std::uint32_t>(texts_.size() - 1)});
}

ExprId GrammarRules::chars(const CharSet& set) {
  if (set.empty()) return kNever;
  const auto [known, added] = known_sets_.try_emplace(set, kNever);
  if (added) {
    sets_.push_back(set);
    known->second =
        add({.kind = Kind::chars, .first = static_cast<std::uint32_t>(sets_.size() - 1)});
  }
  return known->second;
}

ExprId GrammarRules::bytes(std::uint8_t first, std::uint8_t last) {
  return add({.kind = Kind::bytes, .min = first, .max = last});
}

ExprId GrammarRules::token(TokenId id) {
  return add({.kind = Kind::token, .min = static_cast<std::uint32_t>(id)});
}

ExprId GrammarRules::list(Kind kind, std::span<const ExprId> parts) {
  const auto first = static_cast<std::uint32_t>(children_.size());
  children_.insert(children_.end(), parts.begin(), parts.end());
  return add({.kind = kind, .first = first, .count = static_cast<std::uint32_t>(parts.size())});
}

ExprId GrammarRules::seq(std::span<const ExprId> parts) {
  std::vector<ExprId> kept;
  for (const ExprId part : parts) {
    if (part == kNever) return kNever;
    if (part != kEmpty) kept.push_back(part);
  }
  if (kept.empty()) return kEmpty;
  return kept.size() == 1 ? kept[0] : list(Kind::seq, kept);
}

ExprId GrammarRules::alt(std::span<const ExprId> parts) {
  std::vector<ExprId> kept;
  for (const ExprId part : parts) {
    if (part != kNever) kept.push_back(part);
  }
  if (kept.empty()) return kNever;
  return kept.size() == 1 ? kept[0] : list(Kind::alt, kept);
}

ExprId GrammarRules::repeat(ExprId part, std::uint32_t min, std::uint32_t max) {
  if (max == 0 || part == kEmpty) return kEmpty;
  if (part == kNever) return min == 0 ? kEmpty : kNever;
  if (min == 1 && max == 1) return part;
  const auto first = static_cast<std::uint32_t>(children_.size());
  children_.push_back(part);
  return add({.kind = Kind::repeat, .first = first, .count = 1, .min = min, .max = max});
}

ExprId GrammarRules::call(RuleId rule) {
  return add({.kind = Kind::call, .min = rule});
}

RuleId GrammarRules::add_rule(std::string name) {
  return add_rule(std::move(name), kNever);
}

RuleId GrammarRules::add_rule(std::string name, ExprId body) {
  rules_.push_back({std::move(name), body});
  return static_cast<RuleId>(rules_.size() - 1);
}

}  // namespace nautile
