// regex_parser.cpp — the text of a regular expression becomes nodes.
#include <map>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "text/char_reader.h"
#include "text/regex.h"
#include "text/unicode.h"

namespace nautile {
namespace {

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
  RegexParser(const Regex& regex, std::string_view text) : regex_(regex), in_(text) {}

  Regex::NodeId parse() {
    const Regex::NodeId root = alternatives(0);
    if (!in_.done()) refuse(ErrorKind::bad_input, "')' without '('");
    return root;
  }

 private:
  using NodeId = Regex::NodeId;

  [[noreturn]] void refuse(ErrorKind kind, std::string_view reason) const {
    fail(kind, "regular expression {}: at byte {}: {}", printable(in_.text(), 60), in_.at(),
         reason);
  }

  NodeId alternatives(int depth) {
    if (depth > Regex::kMaxDepth) refuse(ErrorKind::unsupported, "groups are nested too deep");
    std::vector<NodeId> ways = {sequence(depth)};
    while (in_.take("|")) ways.push_back(sequence(depth));
    return regex_.alt(std::move(ways));
  }

  NodeId sequence(int depth) {
    std::vector<NodeId> parts;
    while (!in_.done() && in_.peek() != '|' && in_.peek() != ')')
      parts.push_back(quantified(depth));
    return regex_.seq(std::move(parts));
  }

  NodeId quantified(int depth) {
    const char first = in_.peek();
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
    if (in_.take("*")) {
      min = 0, max = GrammarRules::kForever;
    } else if (in_.take("+")) {
      min = 1, max = GrammarRules::kForever;
    } else if (in_.take("?")) {
      min = 0, max = 1;
    } else if (in_.peek() != '{' || !braces(min, max)) {
      return false;
    }
    if (in_.peek() == '+') refuse(ErrorKind::unsupported, "possessive quantifiers");
    in_.take("?");  // lazy: the same texts
    return true;
  }

  // {n}, {n,} or {n,m}; anything else in braces is text.
  bool braces(std::uint32_t& min, std::uint32_t& max) {
    const std::size_t before = in_.at();
    in_.skip();
    const auto low = number();
    if (!low) {
      in_.go_to(before);
      return false;
    }
    std::optional<std::uint32_t> high = low;
    if (in_.take(",")) {
      high = number();
      if (!high) high = GrammarRules::kForever;
    }
    if (!in_.take("}")) {
      in_.go_to(before);
      return false;
    }
    min = *low;
    max = *high;
    if (min > max) refuse(ErrorKind::bad_input, "a repetition whose least count exceeds its most");
    return true;
  }

  std::optional<std::uint32_t> number() {
    const auto value = in_.take_number(GrammarRules::kMaxCount);
    if (value > GrammarRules::kMaxCount) {
      refuse(ErrorKind::unsupported,
             fmt::format("a count of more than {}", GrammarRules::kMaxCount));
    }
    return value;
  }

  NodeId atom(int depth) {
    if (in_.take("(")) return group(depth);
    if (in_.take("[")) return regex_.chars(bracket());
    if (in_.take("^"))
      return regex_.add({.kind = Regex::Kind::begin, .nullable = true, .anchored = true});
    if (in_.take("$"))
      return regex_.add({.kind = Regex::Kind::end, .nullable = true, .anchored = true});
    if (in_.take(".")) return regex_.chars(CharSet::of("\n\r\u2028\u2029").complement());
    if (in_.peek() == '*' || in_.peek() == '+' || in_.peek() == '?') {
      refuse(ErrorKind::bad_input, "nothing that a quantifier could repeat");
    }
    if (in_.take("\\")) return regex_.chars(escape().agreed);
    const char32_t c = in_.take_rune();
    return regex_.chars(CharSet(c, c));
  }

  NodeId group(int depth) {
    if (in_.take("?")) {
      if (in_.take("<=") || in_.take("<!")) refuse(ErrorKind::unsupported, "look-behind");
      if (in_.take("=") || in_.take("!")) refuse(ErrorKind::unsupported, "look-ahead");
      if (in_.take("<") || in_.take("P<")) {
        while (!in_.done() && in_.peek() != '>') in_.skip();
        if (!in_.take(">")) refuse(ErrorKind::bad_input, "a group's name without '>'");
      } else if (!in_.take(":")) {
        refuse(ErrorKind::unsupported, "flags and other extensions after \"(?\"");
      }
    }
    const NodeId inner = alternatives(depth + 1);
    if (!in_.take(")")) refuse(ErrorKind::bad_input, "'(' without ')'");
    return inner;
  }

  CharSet bracket() {
    const bool negated = in_.take("^");
    if (in_.peek() == ']')
      refuse(ErrorKind::unsupported, "an empty class, which engines read differently");
    ClassSet all;
    while (!in_.take("]")) {
      if (in_.done()) refuse(ErrorKind::bad_input, "'[' without ']'");
      bool single = true;
      const ClassSet first = class_item(single);
      if (in_.peek() == '-' && in_.peek(1) != ']' && in_.at() + 1 < in_.text().size()) {
        in_.skip();
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
    if (in_.take("\\")) {
      if (in_.take("b")) return one('\b');
      const char c = in_.peek();
      single = !shorthand(c) && c != 'p' && c != 'P';
      return escape();
    }
    return one(in_.take_rune());
  }

  static ClassSet one(char32_t c) { return {CharSet(c, c), CharSet(c, c)}; }

  ClassSet escape() {
    if (in_.done()) refuse(ErrorKind::bad_input, "'\\' at the end");
    const char c = in_.peek();
    if (const auto set = shorthand(c)) {
      in_.skip();
      return *set;
    }
    if (const auto control = in_.take_control()) return one(*control);
    switch (c) {
      case '0':
        if (in_.peek(1) >= '0' && in_.peek(1) <= '9') break;
        in_.skip();
        return one(0);
      case 'c': {
        const char letter = in_.peek(1);
        if ((letter < 'a' || letter > 'z') && (letter < 'A' || letter > 'Z')) break;
        in_.skip(2);
        return one(static_cast<char32_t>(letter & 31));
      }
      case 'x':
        in_.skip();
        return one(hex(2));
      case 'u':
        in_.skip();
        return one(unicode());
      case 'p':
      case 'P':
        in_.skip();
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
    return one(in_.take_rune());
  }

  char32_t hex(int digits) {
    const auto value = in_.take_hex(digits);
    if (!value) refuse(ErrorKind::bad_input, "a hexadecimal digit is expected");
    return *value;
  }

  char32_t unicode() {
    char32_t value = 0;
    if (in_.take("{")) {
      for (int digits = 0; !in_.take("}"); ++digits) {
        if (digits == 6) refuse(ErrorKind::bad_input, "more than six digits in \\u{…}");
        value = value * 16 + hex(1);
      }
    } else {
      value = hex(4);
      if (value >= 0xD800 && value <= 0xDBFF && in_.take("\\u")) {
        const char32_t low = hex(4);
        if (low < 0xDC00 || low > 0xDFFF) refuse(ErrorKind::bad_input, "half a surrogate pair");
        value = 0x10000 + ((value - 0xD800) << 10) + (low - 0xDC00);
      }
    }
    if (!is_character(value)) refuse(ErrorKind::bad_input, "no Unicode character");
    return value;
  }

  ClassSet property(bool negated) {
    static const std::map<std::string_view, std::uint16_t> kProperties = {
        {"{L}", kLetter},      {"{Letter}", kLetter}, {"{Lu}", kUpperTitle},
        {"{Ll}", kLower},      {"{M}", kMark},        {"{N}", kNumber},
        {"{P}", kPunctuation}, {"{S}", kSymbol},      {"{Number}", kNumber},
    };
    for (const auto& [name, bits] : kProperties) {
      if (!in_.take(name)) continue;
      const CharSet set = CharSet::with_bits(bits);
      const ClassSet both{set, set};
      return negated ? negation(both) : both;
    }
    refuse(ErrorKind::unsupported, "a property other than L, Lu, Ll, M, N, P and S");
  }

  const Regex& regex_;
  CharReader in_;
};

Regex::NodeId Regex::parse(std::string_view pattern) const {
  return RegexParser(*this, pattern).parse();
}

}  // namespace nautile
