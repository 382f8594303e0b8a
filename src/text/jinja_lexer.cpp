// jinja_lexer.cpp — the modes of a template: text, comment, raw, tag and print expressions.
#include "text/jinja_lexer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>

#include "base/error.h"
#include "text/jinja_chars.h"

namespace nautile::jinja {
namespace {

// Two-character operators first, so that the longest one wins.
constexpr std::array<std::string_view, 26> kOperators = {
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
    "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};

constexpr std::size_t kMaxTemplateBytes = 1u << 20;
constexpr std::size_t kMaxTokens = 1u << 18;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// One newline convention, and no newline at the very end.
std::string normalize_newlines(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out += source[i];
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : text_(normalize_newlines(source)) {}

  std::vector<Token> run() {
    while (at_ < text_.size()) data();
    push(TokenType::end, "");
    return std::move(tokens_);
  }

 private:
  template <class... Args>
  [[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) const {
    nautile::fail(ErrorKind::bad_input, "template line {}: {}", line_,
                  fmt::format(format, std::forward<Args>(args)...));
  }

  bool looking_at(std::string_view word, std::size_t at) const {
    return text_.compare(at, word.size(), word) == 0;
  }
  bool looking_at(std::string_view word) const { return looking_at(word, at_); }

  Token& push(TokenType type, std::string text) {
    if (tokens_.size() >= kMaxTokens) fail("template has more than {} tokens", kMaxTokens);
    tokens_.push_back({type, line_, std::move(text), 0, 0});
    return tokens_.back();
  }

  void advance_to(std::size_t end) {
    line_ += static_cast<int>(std::count(text_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         text_.begin() + static_cast<std::ptrdiff_t>(end), '\n'));
    at_ = end;
  }

  std::size_t skip_space(std::size_t at) const {
    while (at < text_.size()) {
      const CodePoint c = code_point(text_, at);
      if (!is_space(c.code)) break;
      at += c.bytes;
    }
    return at;
  }

  std::size_t strip_right(std::size_t begin, std::size_t end) const {
    while (end > begin) {
      std::size_t start = end - 1;
      while (start > begin && (static_cast<unsigned char>(text_[start]) & 0xC0) == 0x80) --start;
      if (!is_space(code_point(text_, start).code)) break;
      end = start;
    }
    return end;
  }

  // Where text before a tag ends, given the tag's sign: "-" strips all white space; else a block
  // tag alone on its line loses its indentation, unless the sign is "+".
  std::size_t text_end(std::size_t begin, std::size_t tag, char sign, bool is_block) const {
    if (sign == '-') return strip_right(begin, tag);
    if (sign == '+' || !is_block) return tag;
    std::size_t line_begin = begin;
    for (std::size_t i = tag; i > begin; --i) {
      if (text_[i - 1] == '\n') {
        line_begin = i;
        break;
      }
    }
    if (line_begin == begin && !line_starting_) return tag;
    return skip_space(line_begin) >= tag ? line_begin : tag;
  }

  void emit_data(std::size_t begin, std::size_t end) {
    if (end > begin) push(TokenType::data, text_.substr(begin, end - begin));
  }

  char sign_at(std::size_t at) const {
    return at < text_.size() && (text_[at] == '-' || text_[at] == '+') ? text_[at] : '\0';
  }

  // After a block-like tag's end at `at`: consumes "%}" variants; npos if there is none here.
  // Signs: "+" keeps the newline, "-" eats all white space, none eats one newline.
  std::size_t block_end(std::size_t at, std::string_view closer) const {
    if (sign_at(at) == '+' && looking_at(closer, at + 1)) return at + 1 + closer.size();
    if (sign_at(at) == '-' && looking_at(closer, at + 1)) return skip_space(at + 1 + closer.size());
    if (!looking_at(closer, at)) return std::string::npos;
    at += closer.size();
    return at < text_.size() && text_[at] == '\n' ? at + 1 : at;
  }

  void finish_at(std::size_t end) {
    line_starting_ = end > 0 && text_[end - 1] == '\n';
    advance_to(end);
  }

  void data() {
    std::size_t tag = at_;
    for (;; ++tag) {
      tag = text_.find('{', tag);
      if (tag == std::string::npos || tag + 1 >= text_.size()) {
        emit_data(at_, text_.size());
        return advance_to(text_.size());
      }
      const char next = text_[tag + 1];
      if (next == '{' || next == '%' || next == '#') break;
    }
    const char kind = text_[tag + 1];
    const char sign = sign_at(tag + 2);
    emit_data(at_, text_end(at_, tag, sign, kind != '{'));
    advance_to(tag);
    const std::size_t body = tag + 2 + (sign != '\0' ? 1 : 0);
    if (kind == '#') return comment(body);
    if (kind == '%' && raw(body)) return;
    advance_to(body);
    push(kind == '%' ? TokenType::tag_begin : TokenType::print_begin, "");
    expression(kind == '%' ? "%}" : "}}");
  }

  void comment(std::size_t body) {
    for (std::size_t at = body; at < text_.size(); ++at) {
      const std::size_t end = block_end(at, "#}");
      if (end != std::string::npos) return finish_at(end);
    }
    // A comment or raw block that opens at the very end is fine by jinja2.
    if (body < text_.size()) fail("comment is not closed");
    advance_to(body);
  }

  // {% raw %} … {% endraw %}; false if this tag is another one.
  bool raw(std::size_t body) {
    std::size_t at = skip_space(body);
    if (!looking_at("raw", at)) return false;
    at = skip_space(at + 3);
    if (sign_at(at) == '-' && looking_at("%}", at + 1)) {
      at = skip_space(at + 3);
    } else if (looking_at("%}", at)) {
      at += 2;
    } else {
      return false;
    }
    finish_at(at);
    for (std::size_t tag = text_.find("{%", at_); tag != std::string::npos;
         tag = text_.find("{%", tag + 1)) {
      const char sign = sign_at(tag + 2);
      std::size_t name = skip_space(tag + 2 + (sign != '\0' ? 1 : 0));
      if (!looking_at("endraw", name)) continue;
      const std::size_t end = block_end(skip_space(name + 6), "%}");
      if (end == std::string::npos) continue;
      emit_data(at_, text_end(at_, tag, sign, true));
      finish_at(end);
      return true;
    }
    if (at_ < text_.size()) fail("raw block is not closed");
    return true;
  }

  // Tokens up to and with the closer ("%}" or "}}").
  void expression(std::string_view closer) {
    std::string brackets;  // the closing brackets that are awaited
    while (at_ < text_.size()) {
      if (brackets.empty() && close(closer)) return;
      const std::size_t after_space = skip_space(at_);
      if (after_space != at_) {
        advance_to(after_space);
        continue;
      }
      const char c = text_[at_];
      if (is_digit(c)) {
        number();
      } else if (c == '\'' || c == '"') {
        string();
      } else if (!name()) {
        op(brackets);
      }
    }
    // jinja2 leaves the complaint to its parser, which expects the closer.
  }

  bool close(std::string_view closer) {
    std::size_t end = std::string::npos;
    if (closer == "%}") {
      end = block_end(at_, closer);
    } else if (sign_at(at_) == '-' && looking_at(closer, at_ + 1)) {
      end = skip_space(at_ + 1 + closer.size());
    } else if (looking_at(closer)) {
      end = at_ + closer.size();
    }
    if (end == std::string::npos) return false;
    push(closer == "%}" ? TokenType::tag_end : TokenType::print_end, "");
    finish_at(end);
    return true;
  }

  bool name() {
    CodePoint c = code_point(text_, at_);
    if (!is_identifier_part(c.code)) return false;
    if (!is_identifier_start(c.code)) fail("invalid character in identifier");
    std::size_t end = at_;
    while (end < text_.size()) {
      c = code_point(text_, end);
      if (!is_identifier_part(c.code)) break;
      end += c.bytes;
    }
    push(TokenType::name, text_.substr(at_, end - at_));
    advance_to(end);
    return true;
  }

  // Digits with single underscores between them; returns where they end (at if there are none).
  std::size_t digits(std::size_t at, int base = 10) const {
    const auto valid = [&](std::size_t i) {
      if (i >= text_.size()) return false;
      const char c = text_[i];
      const int value = is_digit(c)            ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : 99;
      return value < base;
    };
    while (valid(at) || (at < text_.size() && text_[at] == '_' && valid(at + 1))) ++at;
    return at;
  }

  void number() {
    if (real()) return;
    std::size_t begin = at_;
    std::size_t end = at_;
    int base = 10;
    if (text_[at_] == '0') {
      const char prefix = at_ + 1 < text_.size() ? static_cast<char>(text_[at_ + 1] | 0x20) : '\0';
      base = prefix == 'b' ? 2 : prefix == 'o' ? 8 : prefix == 'x' ? 16 : 10;
      if (base != 10 && digits(at_ + 2, base) > at_ + 2) {
        begin = at_ + 2;
        end = digits(begin, base);
      } else {
        base = 10;
        end = digits(at_, 1);  // a run of zeros; "007" is 00 and 7
      }
    } else {
      end = digits(at_);
    }
    std::string clean;
    std::copy_if(text_.begin() + static_cast<std::ptrdiff_t>(begin),
                 text_.begin() + static_cast<std::ptrdiff_t>(end), std::back_inserter(clean),
                 [](char c) { return c != '_'; });
    std::int64_t value = 0;
    const auto parsed = std::from_chars(clean.data(), clean.data() + clean.size(), value, base);
    if (parsed.ec != std::errc()) fail("integer {} does not fit in 64 bits", clean);
    push(TokenType::integer, clean).integer = value;
    advance_to(end);
  }

  bool real() {
    if (at_ > 0 && text_[at_ - 1] == '.') return false;
    std::size_t end = digits(at_);
    bool is_real = false;
    if (end < text_.size() && text_[end] == '.' && end + 1 < text_.size() &&
        is_digit(text_[end + 1])) {
      end = digits(end + 1);
      is_real = true;
    }
    if (end < text_.size() && (text_[end] == 'e' || text_[end] == 'E')) {
      std::size_t exponent = end + 1;
      if (exponent < text_.size() && (text_[exponent] == '+' || text_[exponent] == '-')) ++exponent;
      if (exponent < text_.size() && is_digit(text_[exponent])) {
        end = digits(exponent);
        is_real = true;
      }
    }
    if (!is_real) return false;
    std::string clean;
    for (std::size_t i = at_; i < end; ++i) {
      if (text_[i] != '_') clean += text_[i];
    }
    push(TokenType::real, clean).real = std::strtod(clean.c_str(), nullptr);
    advance_to(end);
    return true;
  }

  void string() {
    const char quote = text_[at_];
    std::size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != quote) end += text_[end] == '\\' ? 2 : 1;
    if (end >= text_.size()) fail("string is not closed");
    push(TokenType::string, unescape(std::string_view(text_).substr(at_ + 1, end - at_ - 1)));
    advance_to(end + 1);
  }

  std::string unescape(std::string_view body) const {
    std::string out;
    for (std::size_t i = 0; i < body.size(); ++i) {
      if (body[i] != '\\' || i + 1 >= body.size()) {
        out += body[i];
        continue;
      }
      i = escape(body, i + 1, out);
    }
    return out;
  }

  // One escape sequence, `i` after the backslash; returns its last byte. Python keeps unknown ones.
  std::size_t escape(std::string_view body, std::size_t i, std::string& out) const {
    switch (body[i]) {
      case '\n':
        return i;
      case '\\':
      case '\'':
      case '"':
        out += body[i];
        return i;
      case 'a':
        out += '\a';
        return i;
      case 'b':
        out += '\b';
        return i;
      case 'f':
        out += '\f';
        return i;
      case 'n':
        out += '\n';
        return i;
      case 'r':
        out += '\r';
        return i;
      case 't':
        out += '\t';
        return i;
      case 'v':
        out += '\v';
        return i;
      case 'x':
        return hex(body, i, 2, out);
      case 'u':
        return hex(body, i, 4, out);
      case 'U':
        return hex(body, i, 8, out);
      case 'N':
        fail("character names (\\N) in strings are not supported");
      default:
        break;
    }
    if (body[i] >= '0' && body[i] <= '7') {
      std::uint32_t code = 0;
      std::size_t end = i;
      while (end < body.size() && end < i + 3 && body[end] >= '0' && body[end] <= '7') {
        code = code * 8 + static_cast<std::uint32_t>(body[end++] - '0');
      }
      append_utf8(out, code);
      return end - 1;
    }
    out += '\\';
    out += body[i];
    return i;
  }

  std::size_t hex(std::string_view body, std::size_t i, std::size_t count, std::string& out) const {
    std::uint32_t code = 0;
    const std::string_view text = body.substr(i + 1, count);
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), code, 16);
    if (text.size() < count || parsed.ptr != text.data() + count)
      fail("truncated \\{} escape", body[i]);
    if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
      fail("\\{} escape names no character", body[i]);
    }
    append_utf8(out, code);
    return i + count;
  }

  void op(std::string& brackets) {
    for (const std::string_view candidate : kOperators) {
      if (!looking_at(candidate)) continue;
      balance(candidate, brackets);
      push(TokenType::op, std::string(candidate));
      return advance_to(at_ + candidate.size());
    }
    fail("unexpected char '{}'", text_.substr(at_, code_point(text_, at_).bytes));
  }

  void balance(std::string_view symbol, std::string& brackets) const {
    if (symbol == "{") brackets += '}';
    if (symbol == "(") brackets += ')';
    if (symbol == "[") brackets += ']';
    if (symbol != "}" && symbol != ")" && symbol != "]") return;
    if (brackets.empty()) fail("unexpected '{}'", symbol);
    if (brackets.back() != symbol[0])
      fail("unexpected '{}', expected '{}'", symbol, brackets.back());
    brackets.pop_back();
  }

  std::string text_;
  std::size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;  // the last tag ended with a newline, so indentation may follow
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> lex(std::string_view source) {
  if (source.size() > kMaxTemplateBytes) {
    fail(ErrorKind::bad_input, "template of {} bytes is larger than the {} allowed", source.size(),
         kMaxTemplateBytes);
  }
  const std::size_t bad = find_invalid_utf8(source);
  if (bad != std::string_view::npos) {
    fail(ErrorKind::bad_input, "template is not UTF-8 at byte {}", bad);
  }
  return Lexer(source).run();
}

}  // namespace nautile::jinja
