#include "text/regex.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "text/unicode.h"

namespace nautile {
namespace {

constexpr std::size_t kMaxNfaStates = 50'000;

// A class as engines agree on it, and as any of them reads it: the second is what negation takes
// away.
struct ClassSet {
  CharSet agreed, widest;
};

const CharSet& digits() {
  static const CharSet kSet('0', '9');
  return kSet;
}

const CharSet& words() {
  static const CharSet kSet = CharSet::of("_") | digits() | CharSet('A', 'Z') | CharSet('a', 'z');
  return kSet;
}

const CharSet& spaces() {
  static const CharSet kSet = CharSet('\t', '\r') | CharSet(0x2000, 0x200A) |
                              CharSet(0x2028, 0x2029) |
                              CharSet::of(" \u00A0\u1680\u202F\u205F\u3000");
  return kSet;
}

ClassSet negation(const ClassSet& set) {
  return {set.widest.complement(), set.agreed.complement()};
}

// \d \w \s and their negations.
std::optional<ClassSet> shorthand(char c) {
  static const ClassSet kDigits{digits(), digits() | CharSet::with_bits(kNumber)};
  static const ClassSet kWords{words(),
                               words() | CharSet::with_bits(kLetter | kMark | kNumber | kWord)};
  static const ClassSet kSpaces{spaces(), spaces() | CharSet(0x1C, 0x1F) |
                                              CharSet::of("\u0085\uFEFF") |
                                              CharSet::with_bits(kSpace)};
  switch (c) {
    case 'd':
      return kDigits;
    case 'D':
      return negation(kDigits);
    case 'w':
      return kWords;
    case 'W':
      return negation(kWords);
    case 's':
      return kSpaces;
    case 'S':
      return negation(kSpaces);
    default:
      return std::nullopt;
  }
}

}  // namespace

class RegexParser {
 public:
  RegexParser(const Regex& regex, std::string_view text) : regex_(regex), text_(text) {}

  Regex::NodeId parse() {
    const Regex::NodeId root = alternatives(0);
    if (!done()) refuse(ErrorKind::bad_input, "')' without '('");
    return root;
  }

 private:
  using NodeId = Regex::NodeId;

  [[noreturn]] void refuse(ErrorKind kind, std::string_view reason) const {
    fail(kind, "regular expression {}: at byte {}: {}", printable(text_, 60), at_, reason);
  }
  bool done() const { return at_ == text_.size(); }
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  bool take(std::string_view s) {
    if (text_.substr(at_, s.size()) != s) return false;
    at_ += s.size();
    return true;
  }
  char32_t take_rune() {
    const Rune rune = decode_rune(text_.data() + at_);
    at_ += static_cast<std::size_t>(rune.length);
    return rune.code;
  }

  NodeId alternatives(int depth) {
    if (depth > Regex::kMaxDepth) refuse(ErrorKind::unsupported, "groups are nested too deep");
    std::vector<NodeId> ways = {sequence(depth)};
    while (take("|")) ways.push_back(sequence(depth));
    return regex_.alt(std::move(ways));
  }

  NodeId sequence(int depth) {
    std::vector<NodeId> parts;
    while (!done() && peek() != '|' && peek() != ')') parts.push_back(quantified(depth));
    return regex_.seq(std::move(parts));
  }

  NodeId quantified(int depth) {
    const char first = peek();
    NodeId node = atom(depth);
    std::uint32_t min = 0, max = 0;
    for (int count = 0; quantifier(min, max); ++count) {
      if (count > 0 || first == '^' || first == '$') {
        refuse(ErrorKind::bad_input, "nothing that a quantifier could repeat");
      }
      if (regex_.nodes_[node].anchored && max > 1) {
        refuse(ErrorKind::unsupported, "^ or $ inside of a repetition");
      }
      node = regex_.repeat(node, min, max);
    }
    return node;
  }

  bool quantifier(std::uint32_t& min, std::uint32_t& max) {
    if (take("*")) {
      min = 0, max = GrammarRules::kForever;
    } else if (take("+")) {
      min = 1, max = GrammarRules::kForever;
    } else if (take("?")) {
      min = 0, max = 1;
    } else if (peek() != '{' || !braces(min, max)) {
      return false;
    }
    if (peek() == '+') refuse(ErrorKind::unsupported, "possessive quantifiers");
    take("?");  // lazy: the same texts
    return true;
  }

  // {n}, {n,} or {n,m}; anything else in braces is text.
  bool braces(std::uint32_t& min, std::uint32_t& max) {
    const std::size_t before = at_;
    ++at_;
    const auto low = number();
    if (!low) {
      at_ = before;
      return false;
    }
    std::optional<std::uint32_t> high = low;
    if (take(",")) {
      high = number();
      if (!high) high = GrammarRules::kForever;
    }
    if (!take("}")) {
      at_ = before;
      return false;
    }
    min = *low;
    max = *high;
    if (min > max) refuse(ErrorKind::bad_input, "a repetition whose least count exceeds its most");
    return true;
  }

  std::optional<std::uint32_t> number() {
    if (peek() < '0' || peek() > '9') return std::nullopt;
    std::uint64_t value = 0;
    for (; peek() >= '0' && peek() <= '9'; ++at_) {
      value = value * 10 + static_cast<std::uint64_t>(peek() - '0');
      if (value > GrammarRules::kMaxCount) {
        refuse(ErrorKind::unsupported,
               fmt::format("a count of more than {}", GrammarRules::kMaxCount));
      }
    }
    return static_cast<std::uint32_t>(value);
  }

  NodeId atom(int depth) {
    if (take("(")) return group(depth);
    if (take("[")) return regex_.chars(bracket());
    if (take("^"))
      return regex_.add({.kind = Regex::Kind::begin, .nullable = true, .anchored = true});
    if (take("$"))
      return regex_.add({.kind = Regex::Kind::end, .nullable = true, .anchored = true});
    if (take(".")) return regex_.chars(CharSet::of("\n\r\u2028\u2029").complement());
    if (peek() == '*' || peek() == '+' || peek() == '?') {
      refuse(ErrorKind::bad_input, "nothing that a quantifier could repeat");
    }
    if (take("\\")) return regex_.chars(escape().agreed);
    const char32_t c = take_rune();
    return regex_.chars(CharSet(c, c));
  }

  NodeId group(int depth) {
    if (take("?")) {
      if (take("<=") || take("<!")) refuse(ErrorKind::unsupported, "look-behind");
      if (take("=") || take("!")) refuse(ErrorKind::unsupported, "look-ahead");
      if (take("<") || take("P<")) {
        while (!done() && peek() != '>') ++at_;
        if (!take(">")) refuse(ErrorKind::bad_input, "a group's name without '>'");
      } else if (!take(":")) {
        refuse(ErrorKind::unsupported, "flags and other extensions after \"(?\"");
      }
    }
    const NodeId inner = alternatives(depth + 1);
    if (!take(")")) refuse(ErrorKind::bad_input, "'(' without ')'");
    return inner;
  }

  CharSet bracket() {
    const bool negated = take("^");
    if (peek() == ']')
      refuse(ErrorKind::unsupported, "an empty class, which engines read differently");
    ClassSet all;
    while (!take("]")) {
      if (done()) refuse(ErrorKind::bad_input, "'[' without ']'");
      bool single = true;
      const ClassSet first = class_item(single);
      if (peek() == '-' && peek(1) != ']' && at_ + 1 < text_.size()) {
        ++at_;
        bool single_last = true;
        const ClassSet last = class_item(single_last);
        if (!single || !single_last) refuse(ErrorKind::bad_input, "a range needs two characters");
        const char32_t low = first.agreed.ranges()[0].first, high = last.agreed.ranges()[0].first;
        if (low > high) refuse(ErrorKind::bad_input, "a range whose ends are in the wrong order");
        all.agreed.add(low, high);
        all.widest.add(low, high);
      } else {
        all.agreed.add(first.agreed);
        all.widest.add(first.widest);
      }
    }
    return negated ? all.widest.complement() : all.agreed;
  }

  ClassSet class_item(bool& single) {
    if (take("\\")) {
      if (take("b")) return one('\b');
      const char c = peek();
      single = !shorthand(c) && c != 'p' && c != 'P';
      return escape();
    }
    return one(take_rune());
  }

  static ClassSet one(char32_t c) { return {CharSet(c, c), CharSet(c, c)}; }

  ClassSet escape() {
    if (done()) refuse(ErrorKind::bad_input, "'\\' at the end");
    const char c = peek();
    if (const auto set = shorthand(c)) {
      ++at_;
      return *set;
    }
    static const std::map<char, char32_t> kControls = {
        {'t', '\t'}, {'n', '\n'}, {'v', '\v'}, {'f', '\f'}, {'r', '\r'}};
    if (const auto control = kControls.find(c); control != kControls.end()) {
      ++at_;
      return one(control->second);
    }
    switch (c) {
      case '0':
        if (peek(1) >= '0' && peek(1) <= '9') break;
        ++at_;
        return one(0);
      case 'c': {
        const char letter = peek(1);
        if ((letter < 'a' || letter > 'z') && (letter < 'A' || letter > 'Z')) break;
        at_ += 2;
        return one(static_cast<char32_t>(letter & 31));
      }
      case 'x':
        ++at_;
        return one(hex(2));
      case 'u':
        ++at_;
        return one(unicode());
      case 'p':
      case 'P':
        ++at_;
        return property(c == 'P');
      case 'b':
      case 'B':
        refuse(ErrorKind::unsupported, "word boundaries");
      case 'k':
        refuse(ErrorKind::unsupported, "references to groups");
      default:
        break;
    }
    if (c >= '1' && c <= '9') refuse(ErrorKind::unsupported, "references to groups");
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
      refuse(ErrorKind::bad_input, "an escape that ECMA-262 does not know");
    }
    return one(take_rune());
  }

  char32_t hex(int digits) {
    char32_t value = 0;
    for (int i = 0; i < digits; ++i, ++at_) {
      const char c = peek();
      if (c >= '0' && c <= '9') {
        value = value * 16 + static_cast<char32_t>(c - '0');
      } else if ((c | 32) >= 'a' && (c | 32) <= 'f') {
        value = value * 16 + static_cast<char32_t>((c | 32) - 'a' + 10);
      } else {
        refuse(ErrorKind::bad_input, "a hexadecimal digit is expected");
      }
    }
    return value;
  }

  char32_t unicode() {
    char32_t value = 0;
    if (take("{")) {
      for (int digits = 0; !take("}"); ++digits) {
        if (digits == 6) refuse(ErrorKind::bad_input, "more than six digits in \\u{…}");
        value = value * 16 + hex(1);
      }
    } else {
      value = hex(4);
      if (value >= 0xD800 && value <= 0xDBFF && take("\\u")) {
        const char32_t low = hex(4);
        if (low < 0xDC00 || low > 0xDFFF) refuse(ErrorKind::bad_input, "half a surrogate pair");
        value = 0x10000 + ((value - 0xD800) << 10) + (low - 0xDC00);
      }
    }
    if (value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) {
      refuse(ErrorKind::bad_input, "no Unicode character");
    }
    return value;
  }

  ClassSet property(bool negated) {
    static const std::map<std::string_view, std::uint16_t> kProperties = {
        {"{L}", kLetter},      {"{Letter}", kLetter}, {"{Lu}", kUpperTitle},
        {"{Ll}", kLower},      {"{M}", kMark},        {"{N}", kNumber},
        {"{P}", kPunctuation}, {"{S}", kSymbol},      {"{Number}", kNumber},
    };
    for (const auto& [name, bits] : kProperties) {
      if (!take(name)) continue;
      const CharSet set = CharSet::with_bits(bits);
      const ClassSet both{set, set};
      return negated ? negation(both) : both;
    }
    refuse(ErrorKind::unsupported, "a property other than L, Lu, Ll, M, N, P and S");
  }

  const Regex& regex_;
  std::string_view text_;
  std::size_t at_ = 0;
};

Regex::Regex(std::string_view pattern) {
  if (pattern.size() > kMaxBytes) {
    fail(ErrorKind::unsupported, "a regular expression of {} bytes; at most {} are read",
         pattern.size(), kMaxBytes);
  }
  NAUTILE_CHECK(valid_utf8_prefix(pattern) == pattern.size(), "regular expression {}: not UTF-8",
                printable(pattern, 60));
  add({});
  add({.kind = Kind::empty, .nullable = true});
  root_ = RegexParser(*this, pattern).parse();
}

Regex::NodeId Regex::add(Node node) const {
  if (nodes_.size() >= kMaxNfaStates) {
    fail(ErrorKind::unsupported, "a regular expression of more than {} parts", kMaxNfaStates);
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

namespace {

// A nondeterministic automaton of characters, built from its end.
struct CharNfa {
  struct State {
    std::vector<std::uint32_t> empty;  // moves that read nothing
    const CharSet* set = nullptr;
    std::uint32_t target = 0;
  };
  std::vector<State> states = {State{}};  // 0 accepts

  std::uint32_t add(State state) {
    if (states.size() >= kMaxNfaStates) {
      throw make_error(ErrorKind::unsupported, "a regular expression of more than {} states",
                       kMaxNfaStates)
          .hint("smaller counts of repetition take fewer");
    }
    states.push_back(std::move(state));
    return static_cast<std::uint32_t>(states.size() - 1);
  }

  void close(std::vector<std::uint32_t>& set) const {
    std::vector<bool> seen(states.size());
    std::vector<std::uint32_t> open = std::move(set);
    set.clear();
    while (!open.empty()) {
      const std::uint32_t at = open.back();
      open.pop_back();
      if (seen[at]) continue;
      seen[at] = true;
      if (states[at].set || at == 0) set.push_back(at);
      open.insert(open.end(), states[at].empty.begin(), states[at].empty.end());
    }
    std::sort(set.begin(), set.end());
  }
};

// The ranges between all bounds of the sets of some states.
std::vector<CharSet::Range> pieces(const CharNfa& nfa, const std::vector<std::uint32_t>& set) {
  std::vector<char32_t> cuts;
  for (const std::uint32_t at : set) {
    if (!nfa.states[at].set) continue;
    for (const CharSet::Range& range : nfa.states[at].set->ranges()) {
      cuts.push_back(range.first);
      cuts.push_back(range.last + 1);
    }
  }
  std::sort(cuts.begin(), cuts.end());
  cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
  std::vector<CharSet::Range> result;
  for (std::size_t i = 1; i < cuts.size(); ++i) result.push_back({cuts[i - 1], cuts[i] - 1});
  return result;
}

}  // namespace

CharDfa Regex::dfa(Match match) const {
  constexpr std::string_view kWhat = "regular expression";
  const NodeId root = language(match);
  CharNfa nfa;
  const auto build = [&](const auto& self, NodeId id, std::uint32_t next) -> std::uint32_t {
    const Node& n = nodes_[id];
    switch (n.kind) {
      case Kind::empty:
        return next;
      case Kind::chars:
        return nfa.add({{}, &n.set, next});
      case Kind::seq:
        for (auto part = n.parts.rbegin(); part != n.parts.rend(); ++part) {
          next = self(self, *part, next);
        }
        return next;
      case Kind::alt: {
        CharNfa::State fork;
        for (const NodeId part : n.parts) fork.empty.push_back(self(self, part, next));
        return nfa.add(std::move(fork));
      }
      case Kind::repeat: {
        std::uint32_t exit = next;
        if (n.max == GrammarRules::kForever) {
          next = nfa.add({{next}, nullptr, 0});
          const std::uint32_t body = self(self, n.parts[0], next);
          nfa.states[next].empty.push_back(body);
        } else {
          for (std::uint32_t i = n.min; i < n.max; ++i) {
            next = nfa.add({{exit, self(self, n.parts[0], next)}, nullptr, 0});
          }
        }
        for (std::uint32_t i = 0; i < n.min; ++i) {
          next = nfa.add({{self(self, n.parts[0], next)}, nullptr, 0});
        }
        return next;
      }
      default:
        return nfa.add({});
    }
  };
  CharDfa dfa;
  std::map<std::vector<std::uint32_t>, std::uint32_t> ids;
  std::vector<std::vector<std::uint32_t>> order;
  std::size_t work = 0;
  const auto id_of = [&](std::vector<std::uint32_t> set) {
    nfa.close(set);
    if (work += set.size() + nfa.states.size() / 16; work > 20'000'000) {
      fail(ErrorKind::unsupported, "{}: too much work to make it deterministic", kWhat);
    }
    const auto [known, added] =
        ids.try_emplace(std::move(set), static_cast<std::uint32_t>(order.size()));
    if (added) order.push_back(known->first);
    CharDfa::check_size(order.size(), kWhat);
    return known->second;
  };
  id_of({build(build, root, 0)});
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::vector<std::uint32_t> from = order[i];
    std::map<std::uint32_t, CharSet> by_target;
    std::map<std::vector<std::uint32_t>, std::uint32_t> known;  // by states before closing
    for (const CharSet::Range& piece : pieces(nfa, from)) {
      std::vector<std::uint32_t> targets;
      for (const std::uint32_t at : from) {
        const CharNfa::State& state = nfa.states[at];
        if (state.set && state.set->contains(piece.first)) targets.push_back(state.target);
      }
      if (targets.empty()) continue;
      auto found = known.find(targets);
      if (found == known.end()) found = known.emplace(targets, id_of(targets)).first;
      by_target[found->second].add(piece.first, piece.last);
    }
    auto& state = dfa.states.emplace_back();
    state.accepts = std::binary_search(from.begin(), from.end(), 0u);
    for (auto& [target, set] : by_target) state.edges.push_back({std::move(set), target});
  }
  dfa.trim();
  return dfa;
}

}  // namespace nautile
