// split_regex.cpp — compiles, translates and runs foreign patterns within budgets.
#include "text/split_regex.h"

#include <string>

#include "base/error.h"
#include "text/bpe_vocab.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace nautile {
namespace {

constexpr std::size_t kMaxPattern = 65536;
constexpr std::uint32_t kHeapKib = 256 * 1024;

// Contents of a bracket expression: the set and its complement.
constexpr std::string_view kSpaceSet =
    R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr std::string_view kNotSpaceSet =
    R"(\x{0}-\x{8}\x{e}-\x{1f}\x{21}-\x{84}\x{86}-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}\x{202a}-\x{202e}\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{10ffff})";

// Oniguruma's table: with letter numbers, Latin-1's superscripts and fractions, circled letters.
constexpr std::string_view kWordSet =
    R"(\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{b2}\x{b3}\x{b9}\x{bc}-\x{be}\x{24b6}-\x{24e9}\x{1f130}-\x{1f149}\x{1f150}-\x{1f169}\x{1f170}-\x{1f189})";

class Translator {
 public:
  explicit Translator(std::string_view pattern) : in_(pattern) {}

  std::string run() {
    while (pos_ < in_.size()) {
      const char c = in_[pos_];
      if (c == '\\') {
        escape(In::pattern);
      } else if (c == '[') {
        bracket();
      } else if (c == '(') {
        group();
      } else if (c == '{') {
        interval();
      } else {
        put(1);
      }
    }
    return std::move(out_);
  }

 private:
  enum class In { pattern, bracket };

  [[noreturn]] void refuse(std::string_view what) const {
    fail(ErrorKind::unsupported, "split pattern \"{}\", byte {}: {} is not supported", brief(in_),
         pos_, what);
  }
  char peek(std::size_t ahead) const {
    return pos_ + ahead < in_.size() ? in_[pos_ + ahead] : '\0';
  }
  void put(std::size_t count) {
    out_.append(in_.substr(pos_, count));
    pos_ += count;
  }
  void replace(std::size_t count, std::string_view with) {
    out_.append(with);
    pos_ += count;
  }
  void set(std::string_view content, In in) {
    replace(2, in == In::bracket ? std::string(content) : fmt::format("[{}]", content));
  }

  void escape(In in) {
    const char c = peek(1);
    switch (c) {
      case 's':
        return set(kSpaceSet, in);
      case 'S':
        return set(kNotSpaceSet, in);
      case 'd':
        return replace(2, "\\p{Nd}");
      case 'D':
        return replace(2, "\\P{Nd}");
      case 'w':
        return set(kWordSet, in);
      case 'h':
        return set("0-9A-Fa-f", in);
      case 'p':
      case 'P':
        return property();
      case 'u':
        return code_point(4);
      case 'x':
        return peek(2) == '{' ? put(2) : code_point(2);
      case 'A':
      case 'z':
        if (in == In::pattern) return put(2);
        break;
      case 'n':
      case 'r':
      case 't':
      case 'f':
      case 'v':
      case 'a':
      case 'e':
        // \v is one character to Oniguruma and a set to PCRE2.
        return c == 'v' ? replace(2, "\\x{b}") : put(2);
      default:
        break;
    }
    const bool alphanumeric =
        (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    if (alphanumeric || c == '\0') refuse(fmt::format("the escape \\{}", c));
    put(2);
  }

  // \uHHHH and \xHH.
  void code_point(std::size_t digits) {
    const std::string_view hex = in_.substr(pos_ + 2, digits);
    if (hex.size() != digits || hex.find_first_not_of("0123456789abcdefABCDEF") != hex.npos) {
      refuse("an incomplete hexadecimal escape");
    }
    replace(2 + digits, fmt::format("\\x{{{}}}", hex));
  }

  // \p{L}, \p{^Lu}, \p{Han}. Names of one or two letters are general categories.
  void property() {
    const std::size_t close = in_.find('}', pos_);
    if (peek(2) != '{' || close == in_.npos) refuse("a property without {}");
    std::string name(in_.substr(pos_ + 3, close - pos_ - 3));
    bool negated = in_[pos_ + 1] == 'P';
    if (!name.empty() && name[0] == '^') {
      negated = !negated;
      name.erase(0, 1);
    }
    if (name.empty() || name.find_first_not_of(
                            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_") != name.npos) {
      refuse(fmt::format("the property \\p{{{}}}", name));
    }
    if (name.size() > 2) name = fmt::format("sc:{}", name);
    replace(close - pos_ + 1, fmt::format("\\{}{{{}}}", negated ? 'P' : 'p', name));
  }

  void bracket() {
    put(1);
    if (peek(0) == '^') put(1);
    // Oniguruma takes a ] in the first place as a character too.
    if (peek(0) == ']') replace(1, "\\]");
    while (pos_ < in_.size() && in_[pos_] != ']') {
      if (in_[pos_] == '[') refuse("a set inside a set");
      if (in_[pos_] == '&' && peek(1) == '&') refuse("an intersection of sets (&&)");
      if (in_[pos_] == '\\') {
        escape(In::bracket);
      } else {
        put(1);
      }
    }
    if (pos_ == in_.size()) refuse("a set without its end");
    put(1);
  }

  // ( (?: (?= (?! (?> (?<= (?<! (?i: (?-i: are alike; the other (? forms differ or are too strong.
  void group() {
    if (peek(1) != '?') return peek(1) == '*' ? refuse("a control verb") : put(1);
    const std::string_view rest = in_.substr(pos_ + 2);
    for (const std::string_view plain :
         {":", "=", "!", ">", "<=", "<!", "i:", "-i:", "i)", "-i)"}) {
      if (rest.starts_with(plain)) return put(2 + plain.size());
    }
    refuse(fmt::format("the group (?{}", rest.substr(0, 2)));
  }

  // {n}, {n,}, {n,m}, and {,m}, which PCRE2 would take literally. After an interval, + means one or
  // more of it to Oniguruma and a possessive interval to PCRE2.
  void interval() {
    const std::size_t close = in_.find('}', pos_);
    const std::string_view body = close == in_.npos ? "" : in_.substr(pos_ + 1, close - pos_ - 1);
    if (body.empty() || body == "," || body.find_first_not_of("0123456789,") != body.npos) {
      return replace(1, "\\{");
    }
    out_ += body[0] == ',' ? "{0" : "{";
    out_ += body;
    out_ += '}';
    pos_ = close + 1;
    if (peek(0) == '+') refuse("a repeated interval ({n,m}+)");
  }

  std::string_view in_;
  std::size_t pos_ = 0;
  std::string out_;
};

}  // namespace

std::string translate_pattern(std::string_view pattern) {
  return Translator(pattern).run();
}

struct SplitRegex::Code {
  pcre2_code* code = nullptr;
  bool jit = false;
  ~Code() { pcre2_code_free(code); }
};

SplitRegex::SplitRegex(const std::string& pattern) : code_(std::make_unique<Code>()) {
  NAUTILE_CHECK(pattern.size() <= kMaxPattern, "a split pattern of {} bytes is too long (limit {})",
                pattern.size(), kMaxPattern);
  const std::string translated = translate_pattern(pattern);
  pcre2_compile_context* context = pcre2_compile_context_create(nullptr);
  pcre2_set_newline(context, PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE offset = 0;
  code_->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                              PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C,
                              &error, &offset, context);
  pcre2_compile_context_free(context);
  if (!code_->code) {
    PCRE2_UCHAR message[256];
    pcre2_get_error_message(error, message, sizeof message);
    fail(ErrorKind::unsupported,
         "split pattern \"{}\" cannot be compiled: {} (at byte {} of \"{}\")", brief(pattern),
         reinterpret_cast<const char*>(message), offset,
         brief(std::string_view(translated).substr(std::min(offset, translated.size()))));
  }
  // Without JIT (not built in, or the system forbids executable memory) the interpreter runs.
  code_->jit = pcre2_jit_compile(code_->code, PCRE2_JIT_COMPLETE) == 0;
}

SplitRegex::~SplitRegex() = default;

struct SplitRegex::Pass::State {
  const pcre2_code* code;
  std::string_view text;
  std::size_t at = 0;  // where the next search begins
  std::size_t last_end = ~std::size_t{0};
  bool jit;
  pcre2_match_data* data;
  pcre2_match_context* context;
  pcre2_jit_stack* stack = nullptr;

  ~State() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    if (stack) pcre2_jit_stack_free(stack);
  }

  int match(std::uint32_t options) {
    return pcre2_match(code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at, options,
                       data, context);
  }

  // JIT with its 32 KiB of machine stack, then with 8 MiB, then the interpreter on the heap.
  int search() {
    int result = match(PCRE2_NO_UTF_CHECK);
    if (result == PCRE2_ERROR_JIT_STACKLIMIT && !stack) {
      stack = pcre2_jit_stack_create(64 * 1024, 8 * 1024 * 1024, nullptr);
      pcre2_jit_stack_assign(context, nullptr, stack);
      result = match(PCRE2_NO_UTF_CHECK);
    }
    if (result == PCRE2_ERROR_JIT_STACKLIMIT) result = match(PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT);
    return result;
  }
};

SplitRegex::Pass::Pass(const SplitRegex& regex, std::string_view text)
    : state_(std::make_unique<State>()) {
  state_->code = regex.code_->code;
  state_->jit = regex.code_->jit;
  state_->text = text;
  state_->data = pcre2_match_data_create_from_pattern(regex.code_->code, nullptr);
  state_->context = pcre2_match_context_create(nullptr);
  if (!state_->data || !state_->context) fail(ErrorKind::no_memory, "no memory to match a pattern");
  const std::size_t steps = std::min<std::size_t>(10'000'000 + 64 * text.size(), 4'000'000'000u);
  pcre2_set_match_limit(state_->context, static_cast<std::uint32_t>(steps));
  pcre2_set_heap_limit(state_->context, kHeapKib);
}

SplitRegex::Pass::~Pass() = default;

bool SplitRegex::Pass::next(std::size_t& begin, std::size_t& end) {
  State& s = *state_;
  while (s.at <= s.text.size()) {
    const int result = s.search();
    if (result == PCRE2_ERROR_NOMATCH) return false;
    if (result < 0) {
      PCRE2_UCHAR message[256];
      pcre2_get_error_message(result, message, sizeof message);
      fail(ErrorKind::unsupported, "a split pattern went over its budget near byte {} of {}: {}",
           s.at, s.text.size(), reinterpret_cast<const char*>(message));
    }
    const PCRE2_SIZE* where = pcre2_get_ovector_pointer(s.data);
    begin = where[0];
    end = where[1];
    NAUTILE_CHECK(begin <= end, "a split pattern gives a match that ends before it begins");
    s.at = end;
    if (begin == end) {
      // An empty match moves on by one character, and does not count right after another match.
      const bool repeated = s.last_end == end;
      ++s.at;
      while (s.at < s.text.size() && (static_cast<unsigned char>(s.text[s.at]) & 0xC0) == 0x80)
        ++s.at;
      if (repeated) continue;
    }
    s.last_end = end;
    return true;
  }
  return false;
}

}  // namespace nautile
