// split_known.cpp — scanners that return the length of the match at a place, as the regex would.
#include "text/split_known.h"

#include <array>

#include "text/unicode.h"

namespace nautile {
namespace patterns {

const std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
const std::string_view kLlamaBpe =
    R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string_view kLlamaBpeHf =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string_view kQwen2 =
    R"((?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string_view kQwen2Hf =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
const std::string_view kDeepseekNumbers = R"(\p{N}{1,3})";
const std::string_view kDeepseekCjk = "[一-龥\u3040-ゟ゠-ヿ]+";
const std::string_view kDeepseekWords =
    "[!\"#$%&'()*+,\\-./"
    ":;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
    "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+";
const std::string_view kSingleNumber = R"(\p{N})";
const std::string_view kNumberRuns = R"(\p{N}+)";
const std::string_view kTrailingSpace = R"(\s+$)";
const std::string_view kKimiK2 =
    R"([\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

}  // namespace patterns

namespace {

struct Seen {
  unsigned bits;
  int length;
};

// Where a scanner stands. All positions lie on character bounds of valid UTF-8.
class Scan {
 public:
  explicit Scan(std::string_view text)
      : table_(CharTable::get()), begin_(text.data()), end_(text.data() + text.size()) {}

  const char* begin() const { return begin_; }
  const char* end() const { return end_; }

  Seen at(const char* p) const {
    const auto c = static_cast<unsigned char>(*p);
    if (c < 0x80) return {table_.ascii(c), 1};
    const Rune rune = decode_rune(p);
    return {table_.bits(rune.code), rune.length};
  }
  // Bits of the character at p, 0 at the end (no class matches there).
  unsigned bits(const char* p) const { return p < end_ ? at(p).bits : 0; }

  // End of the run of characters with (any bit of) `any` and without `none`.
  const char* run(const char* p, unsigned any, unsigned none = 0) const {
    while (p < end_) {
      const Seen c = at(p);
      if (!(c.bits & any) || (c.bits & none)) break;
      p += c.length;
    }
    return p;
  }
  // End of the run of characters with no bit of `none`.
  const char* run_without(const char* p, unsigned none) const {
    while (p < end_) {
      const Seen c = at(p);
      if (c.bits & none) break;
      p += c.length;
    }
    return p;
  }
  const char* newlines(const char* p) const {
    while (p < end_ && (*p == '\n' || *p == '\r')) ++p;
    return p;
  }
  // Up to `most` characters of \p{N}.
  const char* numbers(const char* p, int most) const {
    for (int i = 0; i < most && p < end_; ++i) {
      const Seen c = at(p);
      if (!(c.bits & kNumber)) break;
      p += c.length;
    }
    return p;
  }

 private:
  const CharTable& table_;
  const char* begin_;
  const char* end_;
};

enum class Fold {
  none,     // 's
  ascii,    // '[sS]
  unicode,  // (?i:'s), where U+017F folds to s
};

// End of one of 's 't 're 've 'm 'll 'd at p, or p.
const char* contraction(const Scan& s, const char* p, Fold fold) {
  if (p >= s.end() || *p != '\'' || p + 1 == s.end()) return p;
  const auto letter = [&](const char* q) {
    if (q >= s.end()) return '\0';
    const bool upper = *q >= 'A' && *q <= 'Z';
    return upper && fold != Fold::none ? static_cast<char>(*q | 0x20) : *q;
  };
  const char a = letter(p + 1);
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return p + 2;
  const char b = letter(p + 2);
  if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return p + 3;
  if (fold == Fold::unicode && s.end() - p >= 3 && p[1] == '\xC5' && p[2] == '\xBF') return p + 3;
  return p;
}

// \s*[\r\n]+|\s+(?!\S)|\s+ (or without its first alternative); p stands on white space.
enum class Lines { apart, as_space };
const char* white_space(const Scan& s, const char* p, Lines lines) {
  const char* last = p;     // start of the run's last character
  const char* newline = p;  // just after the run's last \r or \n
  const char* q = p;
  while (q < s.end()) {
    const Seen c = s.at(q);
    if (!(c.bits & kSpace)) break;
    last = q;
    q += c.length;
    if (c.bits & kNewline) newline = q;
  }
  if (lines == Lines::apart && newline > p) return newline;
  return q == s.end() || last == p ? q : last;
}

//  ?[^\s\p{L}\p{N}]+[\r\n]* at p, or p.
const char* others(const Scan& s, const char* p) {
  const char* q = p + (*p == ' ' ? 1 : 0);
  const char* r = s.run_without(q, kSpace | kLetter | kNumber);
  return r == q ? p : s.newlines(r);
}

struct Gpt2 {
  const char* match(const Scan& s, const char* p) const {
    if (*p == '\'') {
      if (const char* q = contraction(s, p, Fold::none); q > p) return q;
    }
    const char* q = p + (*p == ' ' ? 1 : 0);
    if (q < s.end()) {
      const Seen c = s.at(q);
      if (c.bits & kLetter) return s.run(q + c.length, kLetter);
      if (c.bits & kNumber) return s.run(q + c.length, kNumber);
      if (!(c.bits & kSpace)) return s.run_without(q + c.length, kSpace | kLetter | kNumber);
    }
    return white_space(s, p, Lines::as_space);
  }
};

template <Fold fold, int digits>
struct LlamaBpe {
  const char* match(const Scan& s, const char* p) const {
    if (*p == '\'') {
      if (const char* q = contraction(s, p, fold); q > p) return q;
    }
    const Seen c = s.at(p);
    const char* q = p + c.length;
    if (c.bits & kLetter) return s.run(q, kLetter);
    if (c.bits & kNumber) return s.numbers(q, digits - 1);
    if (!(c.bits & kNewline) && (s.bits(q) & kLetter)) return s.run(q, kLetter);
    if (q = others(s, p); q > p) return q;
    return white_space(s, p, Lines::apart);
  }
};

template <int digits>
struct Numbers {
  const char* match(const Scan& s, const char* p) const { return s.numbers(p, digits); }
};

struct NumberRuns {
  const char* match(const Scan& s, const char* p) const { return s.run(p, kNumber); }
};

struct CjkRuns {
  const char* match(const Scan& s, const char* p) const { return s.run(p, kCjkRun); }
};

bool ascii_letter(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

struct DeepseekWords {
  // Control and unassigned characters match nothing: they stay as the text between matches.
  const char* match(const Scan& s, const char* p) const {
    const Seen c = s.at(p);
    const char* q = p + c.length;
    const bool sign = c.bits & (kPunctuation | kSymbol);
    if (sign && c.length == 1 && q < s.end() && ascii_letter(*q)) {
      while (q < s.end() && ascii_letter(*q)) ++q;
      return q;
    }
    if (c.bits & (kLetter | kMark)) return s.run(q, kLetter | kMark);
    if (!sign && !(c.bits & kNewline) && (s.bits(q) & (kLetter | kMark))) {
      return s.run(q, kLetter | kMark);
    }
    const char* signs = p + (*p == ' ' ? 1 : 0);
    if (const char* r = s.run(signs, kPunctuation | kSymbol); r > signs) return s.newlines(r);
    return c.bits & kSpace ? white_space(s, p, Lines::apart) : p;
  }
};

// In a run of white space that ends the text or a line. Looking for the end once per run, not once
// per character, keeps it linear.
struct TrailingSpace {
  const char* match(const Scan& s, const char* p) const {
    if (!(s.at(p).bits & kSpace)) return p;
    if (p > s.begin() && (decode_last_bits(s, p) & kSpace) && *p != '\n') return p;
    const char* end = p;  // of the longest match
    const char* q = p;
    while (q < s.end()) {
      const Seen c = s.at(q);
      if (!(c.bits & kSpace)) break;
      if (*q == '\n' && q > p) end = q;
      q += c.length;
    }
    return q == s.end() ? q : end;
  }

 private:
  static unsigned decode_last_bits(const Scan& s, const char* p) {
    return CharTable::get().bits(decode_last_rune(s.begin(), p).code);
  }
};

struct KimiK2 {
  // The published sets A = [Lu Lt Lm Lo M] and B = [Ll Lm Lo M], both without Han.
  static bool in_a(unsigned bits) {
    return (bits & (kLetter | kMark)) && !(bits & (kHan | kLower));
  }
  static bool in_b(unsigned bits) {
    return (bits & (kLetter | kMark)) && !(bits & (kHan | kUpperTitle));
  }

  // A*B+ from p, or p if it fails. A* takes what it can and gives back to let B+ begin.
  static const char* lower_word(const Scan& s, const char* p) {
    const char* q = p;
    const char* last_both = nullptr;  // end of the last character that is in A and in B
    while (q < s.end()) {
      const Seen c = s.at(q);
      if (!in_a(c.bits)) break;
      q += c.length;
      if (in_b(c.bits)) last_both = q;
    }
    const char* r = q;
    while (r < s.end()) {
      const Seen c = s.at(r);
      if (!in_b(c.bits)) break;
      r += c.length;
    }
    if (r > q) return r;
    return last_both ? last_both : p;
  }
  // A+B* from p where lower_word failed: then no character of B follows.
  static const char* upper_word(const Scan& s, const char* p) {
    while (p < s.end()) {
      const Seen c = s.at(p);
      if (!in_a(c.bits)) break;
      p += c.length;
    }
    return p;
  }

  const char* match(const Scan& s, const char* p) const {
    const Seen c = s.at(p);
    const char* q = p + c.length;
    if (c.bits & kHan) return s.run(q, kHan);
    const bool prefix = !(c.bits & (kLetter | kNumber | kNewline));
    for (const auto word : {lower_word, upper_word}) {
      for (const char* from : {q, p}) {
        const char* end = from == p || prefix ? word(s, from) : from;
        if (end > from) return contraction(s, end, Fold::unicode);
      }
    }
    if (c.bits & kNumber) return s.numbers(q, 2);
    if (q = others(s, p); q > p) return q;
    return c.bits & kSpace ? white_space(s, p, Lines::apart) : p;
  }
};

// Matches and what lies between them, in order.
template <class Scanner>
class KnownStep : public SplitStep {
 public:
  void split(std::string_view text, PieceSink& out) const override {
    const Scan s(text);
    const char* gap = s.begin();
    const char* p = s.begin();
    while (p < s.end()) {
      const char* end = scanner_.match(s, p);
      if (end == p) {
        p += s.at(p).length;
        continue;
      }
      if (gap < p) out.piece({gap, static_cast<std::size_t>(p - gap)});
      out.piece({p, static_cast<std::size_t>(end - p)});
      gap = p = end;
    }
    if (gap < p) out.piece({gap, static_cast<std::size_t>(p - gap)});
  }

 private:
  Scanner scanner_;
};

template <class Scanner>
std::unique_ptr<const SplitStep> make() {
  return std::make_unique<KnownStep<Scanner>>();
}

struct Known {
  std::string_view pattern;
  std::unique_ptr<const SplitStep> (*make)();
};

}  // namespace

std::unique_ptr<const SplitStep> make_known_step(std::string_view pattern) {
  static const std::array<Known, 12> known = {{
      {patterns::kGpt2, make<Gpt2>},
      {patterns::kLlamaBpe, make<LlamaBpe<Fold::ascii, 3>>},
      {patterns::kLlamaBpeHf, make<LlamaBpe<Fold::unicode, 3>>},
      {patterns::kQwen2, make<LlamaBpe<Fold::ascii, 1>>},
      {patterns::kQwen2Hf, make<LlamaBpe<Fold::unicode, 1>>},
      {patterns::kDeepseekNumbers, make<Numbers<3>>},
      {patterns::kDeepseekCjk, make<CjkRuns>},
      {patterns::kDeepseekWords, make<DeepseekWords>},
      {patterns::kSingleNumber, make<Numbers<1>>},
      {patterns::kNumberRuns, make<NumberRuns>},
      {patterns::kTrailingSpace, make<TrailingSpace>},
      {patterns::kKimiK2, make<KimiK2>},
  }};
  for (const Known& k : known) {
    if (k.pattern == pattern) return k.make();
  }
  return nullptr;
}

}  // namespace nautile
